//! `system check --images`: whether the store is what the database says.

use std::fmt;
use std::path::PathBuf;

use rusqlite::Connection;

use crate::Result;
use crate::digest::Digest;
use crate::store::Store;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub problem: Problem,
    /// It was put right, because that was asked for and possible.
    pub repaired: bool,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A blob's content has another digest than its name says.
    CorruptBlob {
        blob: Digest,
        images: Vec<String>,
    },
    /// An image's blob is not in the store: the image runs, but can be neither pushed nor saved.
    MissingBlob {
        blob: Digest,
        images: Vec<String>,
    },
    /// An image's unpacked layer is not in the store, or has no facts beside it: the image does not run.
    MissingLayer {
        chain: Digest,
        images: Vec<String>,
    },
    /// What stands beside an unpacked layer is not what the database says.
    LayerMismatch {
        chain: Digest,
        reason: String,
    },
    /// Whole content that no image needs.
    UnusedBlob {
        blob: Digest,
    },
    UnusedLayer {
        chain: Digest,
    },
    /// A part of a blob that no pull will ask for any more.
    StalePartial {
        path: PathBuf,
    },
    /// Left by a process that was killed.
    DeadTemporary {
        path: PathBuf,
    },
    /// Nothing that the store makes.
    UnknownFile {
        path: PathBuf,
    },
    /// A row that leads nowhere.
    DanglingRow {
        table: &'static str,
        row: String,
    },
    /// The database has another config than the blob.
    ConfigMismatch {
        image: Digest,
    },
}

impl fmt::Display for Problem {
    /// What is wrong with what, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = self;
        f.write_str("")
    }
}

impl Store {
    /// Reads all blobs and compares the store with the database. With `repair`, what can be put right is: corrupt
    /// and unused content goes, layers are unpacked again from their blobs.
    pub fn check(&self, conn: &Connection, repair: bool) -> Result<Vec<Finding>> {
        let _ = (conn, repair);
        crate::error::in_the_making("check")
    }
}

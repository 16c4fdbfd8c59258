//! What may be wrong with a store, in words.

use std::fmt;
use std::path::PathBuf;

use crate::digest::Digest;

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
    /// A blob's content has another digest than its name says. A repair takes it away, so that the next pull brings it.
    CorruptBlob {
        blob: Digest,
        images: Vec<String>,
    },
    /// An image's blob is not in the store: the image runs, but can be neither pushed nor saved.
    MissingBlob {
        blob: Digest,
        images: Vec<String>,
    },
    /// An image's unpacked layer is not in the store: the image does not run. A repair unpacks it from its blob.
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
    /// Nothing that the store makes. It is left alone.
    UnknownFile {
        path: PathBuf,
    },
    /// A row that leads nowhere.
    DanglingRow {
        table: &'static str,
        row: String,
    },
    /// The database's copy of an image's config is not that config. A repair takes it from the blob.
    ConfigMismatch {
        image: Digest,
    },
}

impl fmt::Display for Finding {
    /// What is wrong with what, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)?;
        f.write_str(if self.repaired { ": repaired" } else { self.problem.remedy() })
    }
}

impl Problem {
    fn remedy(&self) -> &'static str {
        match self {
            Self::CorruptBlob { .. } | Self::MissingLayer { .. } => {
                "; repair it, then pull or load the image again"
            }
            Self::MissingBlob { .. } => "; pull or load the image again",
            Self::LayerMismatch { .. } => "; remove the images and containers that use it, and pull again",
            Self::UnknownFile { .. } => "; it is left alone",
            _ => "; repair it",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CorruptBlob { blob, images } => {
                write!(f, "blob {blob} is corrupt (of {})", images.join(", "))
            }
            Self::MissingBlob { blob, images } => {
                write!(f, "blob {blob} is missing (of {})", images.join(", "))
            }
            Self::MissingLayer { chain, images } => {
                write!(f, "layer {chain} is not unpacked (of {})", images.join(", "))
            }
            Self::LayerMismatch { chain, reason } => write!(f, "layer {chain}: {reason}"),
            Self::UnusedBlob { blob } => write!(f, "blob {blob} belongs to no image"),
            Self::UnusedLayer { chain } => write!(f, "layer {chain} belongs to no image"),
            Self::StalePartial { path } => {
                write!(f, "{} is a part of a blob that nobody wants", path.display())
            }
            Self::DeadTemporary { path } => {
                write!(f, "{} was left by a process that was killed", path.display())
            }
            Self::UnknownFile { path } => write!(f, "{} is not a file of the store", path.display()),
            Self::DanglingRow { table, row } => write!(f, "row {row} of table {table} leads nowhere"),
            Self::ConfigMismatch { image } => write!(f, "the database has another config for image {image}"),
        }
    }
}

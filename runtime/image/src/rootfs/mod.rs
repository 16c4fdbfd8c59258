//! `import`: an image of one layer from the tar of a root file system.

mod change;

use std::io::Read;

use rusqlite::Connection;

pub use self::change::{Change, Healthcheck};
use crate::digest::Digest;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::Store;
use crate::{Limits, Result};

/// What to make of a root file system.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    pub name: Option<Reference>,
    /// In their order, later ones on top of earlier ones.
    pub changes: Vec<Change>,
    /// The comment in the image's history (`Imported from -`).
    pub message: String,
    /// This machine's by default.
    pub platform: Option<Platform>,
    pub limits: Limits,
}

/// An imported image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub id: Digest,
    /// The manifest of the image that had the name before.
    pub replaced: Option<Digest>,
}

impl Store {
    /// Makes an image of a tar, plain or compressed with gzip or zstd, which becomes its one layer as it is.
    pub fn import(
        &self,
        conn: &Connection,
        source: &mut (dyn Read + Send),
        options: &ImportOptions,
        progress: &mut dyn FnMut(crate::Progress),
    ) -> Result<Imported> {
        let _ = (conn, source, options, progress);
        crate::error::in_the_making("import")
    }
}

//! `save`: images as an archive that other tools read.

use std::io::Write;

use rusqlite::Connection;

use crate::Result;
use crate::store::Store;

/// The form of the archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveFormat {
    /// An OCI image layout with a `manifest.json` beside it, as Docker writes since version 25: read by `docker load`,
    /// and by others as OCI archive and as docker archive. Manifests and layers are byte for byte those of the store.
    #[default]
    Oci,
    /// The form of `docker save` before that: `manifest.json`, configs, and layers without compression.
    Docker,
}

impl Store {
    /// Writes the images of the given names and ids to `out`. A name without a tag means all tags of its repository.
    /// The same images give the same bytes.
    pub fn save(
        &self,
        conn: &Connection,
        names: &[String],
        format: SaveFormat,
        out: &mut dyn Write,
    ) -> Result<()> {
        let _ = (conn, names, format, out);
        crate::error::in_the_making("save")
    }
}

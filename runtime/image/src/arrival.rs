//! The last steps of an image into the store: its content, whole by now, is made durable and named, and the database
//! learns of it.

use std::fs::File;

use oci_spec::image::ImageConfiguration;
use rusqlite::Connection;

use crate::content::StagedBlob;
use crate::database::{self, LayerRecord, Record};
use crate::digest::Digest;
use crate::layer::LayerInfo;
use crate::store::Store;
use crate::{Error, Result, time};

/// An image whose content is in the store under its names.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) manifest: &'a Digest,
    pub(crate) id: &'a Digest,
    pub(crate) config_bytes: &'a [u8],
    pub(crate) config: &'a ImageConfiguration,
    /// Bottom first, as the three after it.
    pub(crate) chains: &'a [Digest],
    pub(crate) infos: &'a [LayerInfo],
    /// Digest and size.
    pub(crate) blobs: &'a [(Digest, u64)],
}

impl Arrival<'_> {
    /// Tells the database.
    pub(crate) fn record(&self, conn: &Connection) -> Result<()> {
        let record = Record {
            manifest: self.manifest.clone(),
            id: self.id.clone(),
            config: self.config_bytes.to_vec(),
            created: self.config.created().as_deref().and_then(time::parse),
            size: self.infos.iter().fold(0, |sum: u64, info| sum.saturating_add(info.size)),
        };
        let layers: Vec<LayerRecord<'_>> = self
            .chains
            .iter()
            .zip(self.infos)
            .zip(self.blobs)
            .map(|((chain, info), (blob, size))| LayerRecord { chain, info, blob, blob_size: *size })
            .collect();
        database::insert(conn, &record, &layers)
    }
}

impl Store {
    /// Makes everything durable that was written to the store's file system.
    pub(crate) fn sync(&self) -> Result<()> {
        let root = File::open(self.root.as_ref()).map_err(|error| Error::file("open", &self.root, error))?;
        rustix::fs::syncfs(&root).map_err(|errno| Error::file("sync", &self.root, errno))
    }

    /// Gives staged blobs, which are durable, their names.
    pub(crate) fn name_blobs<'a>(&self, blobs: impl IntoIterator<Item = &'a StagedBlob>) -> Result<()> {
        blobs.into_iter().try_for_each(|blob| self.content.commit(blob))?;
        self.content.sync_names()
    }
}

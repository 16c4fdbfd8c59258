//! Removal of content that nothing uses: blobs and layers without an image, left by removed images and killed loads.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;
use rustix::fs::FlockOperation;

use crate::database;
use crate::digest::Digest;
use crate::store::Store;
use crate::temporary::TemporaryDirectory;
use crate::{Error, Result};

/// What a collection removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub blobs: Vec<Digest>,
    pub layers: Vec<Digest>,
    /// Bytes of the removed blobs.
    pub blob_bytes: u64,
}

impl Store {
    /// Removes the blobs and layers that no image in the database uses; `in_use` are chain ids of layers that containers
    /// stand on besides.
    ///
    /// Waits for loads that are under way: their content is in the store before the database knows it.
    pub fn collect_garbage(&self, conn: &Connection, in_use: &HashSet<Digest>) -> Result<Collected> {
        let _alone = self.lock(FlockOperation::LockExclusive)?;
        self.sweep()?;
        let used = database::used(conn)?;
        let mut collected = Collected::default();
        for algorithm in ["sha256", "sha512"] {
            let directory = self.root.join("blobs").join(algorithm);
            for digest in names(&directory, algorithm)? {
                if used.blobs.contains(&digest) {
                    continue;
                }
                let path = self.content.path(&digest);
                collected.blob_bytes += path.metadata().map_or(0, |metadata| metadata.len());
                std::fs::remove_file(&path).map_err(|error| Error::file("remove", &path, error))?;
                collected.blobs.push(digest);
            }
        }
        // A layer leaves its name at once: half a directory must not look like a whole one.
        let removed = TemporaryDirectory::create(&self.layers.temporary())?;
        for chain in names(self.layers.root(), "sha256")? {
            if used.layers.contains(&chain) || in_use.contains(&chain) {
                continue;
            }
            let path = self.layers.directory(&chain);
            std::fs::rename(&path, removed.path().join(chain.hex()))
                .map_err(|error| Error::file("remove", &path, error))?;
            collected.layers.push(chain);
        }
        Ok(collected)
    }
}

/// The digests that entries of `directory` are named after; other names are not ours to judge.
fn names(directory: &Path, algorithm: &str) -> Result<Vec<Digest>> {
    let failed = |error| Error::file("read", directory, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        found.extend(name.to_str().and_then(|name| format!("{algorithm}:{name}").parse().ok()));
    }
    Ok(found)
}

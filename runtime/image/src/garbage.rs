//! Removal of content that nothing uses: blobs and layers without an image, left by removed images and killed pulls.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::fs::FlockOperation;

use crate::database::{self, Used};
use crate::digest::Digest;
use crate::lease::{Held, Leased, Leftovers};
use crate::store::Store;
use crate::temporary::TemporaryDirectory;
use crate::{Error, Result};

/// What a collection removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub blobs: Vec<Digest>,
    pub layers: Vec<Digest>,
    /// Bytes of the removed blobs, parts of blobs included.
    pub blob_bytes: u64,
    /// Bytes of the files of the removed layers.
    pub layer_bytes: u64,
}

impl Store {
    /// Removes the blobs and layers that no image in the database uses, and no container whose image was removed by force.
    /// What pulls and loads under way bring is spared, and what killed ones left stays a while for the next try.
    pub fn collect_garbage(&self, conn: &Connection) -> Result<Collected> {
        self.collect(conn, Leftovers::Keep, None)
    }

    /// Collects if what a dead process left has waited long enough; called by everything that brings content.
    pub(crate) fn expire(&self, conn: &Connection) -> Result<()> {
        if self.has_expired_leases()? { self.collect_garbage(conn).map(|_| ()) } else { Ok(()) }
    }

    /// Removes unused content: all of it, or that of `only`.
    pub(crate) fn collect(
        &self,
        conn: &Connection,
        leftovers: Leftovers,
        only: Option<&Held>,
    ) -> Result<Collected> {
        let chosen =
            |digest: &Digest, of: fn(&Held) -> &[Digest]| only.is_none_or(|only| of(only).contains(digest));
        self.make_directories()?;
        let mut collected = Collected::default();
        let alone = self.lock(FlockOperation::LockExclusive)?;
        let (leased, used) = self.needed(conn, leftovers)?;
        for (path, digest) in self.blob_files()? {
            if !used.blobs.contains(&digest)
                && !leased.blobs.contains(&digest)
                && chosen(&digest, |only| &only.blobs)
            {
                collected.blob_bytes += remove_file(&path)?;
                collected.blobs.push(digest);
            }
        }
        for (path, digest) in self.partial_files()? {
            if !leased.blobs.contains(&digest) && chosen(&digest, |only| &only.blobs) {
                collected.blob_bytes += remove_file(&path)?;
            }
        }
        let mut unused = self.layer_directories()?;
        unused.retain(|(_, chain)| {
            !used.layers.contains(chain)
                && !leased.layers.contains(chain)
                && chosen(chain, |only| &only.layers)
        });
        // A layer leaves its name at once: half a directory must not look like a whole one. On a full disk there is room
        // for the directory by now.
        let removed = if unused.is_empty() {
            None
        } else {
            Some(TemporaryDirectory::create(&self.layers.temporary())?)
        };
        for ((path, chain), removed) in unused.into_iter().zip(removed.iter().cycle()) {
            collected.layer_bytes += self.layers.info(&chain).ok().flatten().map_or(0, |info| info.size);
            std::fs::rename(&path, removed.path().join(chain.hex()))
                .map_err(|error| Error::file("remove", &path, error))?;
            collected.layers.push(chain);
        }
        // Nobody waits for the slow part.
        drop(alone);
        drop(removed);
        self.sweep()?;
        Ok(collected)
    }

    /// What must stay. The caller has the store's exclusive lock.
    ///
    /// Leases are read before the database: one that is gone by then has its content in the database.
    pub(crate) fn needed(&self, conn: &Connection, leftovers: Leftovers) -> Result<(Leased, Used)> {
        let used = database::used(conn)?;
        let waiting = |held: &Held| self.size_of(held, &used);
        let leased = self.leased(leftovers, &waiting)?;
        Ok((leased, database::used(conn)?))
    }

    /// Bytes of content that nothing but a lease holds.
    fn size_of(&self, held: &Held, used: &Used) -> u64 {
        let blobs = held.blobs.iter().filter(|blob| !used.blobs.contains(blob)).map(|blob| {
            let partial = self.content.partial_path(blob);
            self.content.size(blob).unwrap_or(0) + std::fs::metadata(partial).map_or(0, |found| found.len())
        });
        let layers = held.layers.iter().filter(|chain| !used.layers.contains(chain));
        let layers = layers.filter_map(|chain| self.layers.info(chain).ok().flatten()).map(|info| info.size);
        blobs.chain(layers).fold(0, u64::saturating_add)
    }

    /// All blobs that have their name.
    pub(crate) fn blob_files(&self) -> Result<Vec<(PathBuf, Digest)>> {
        let mut found = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let directory = self.content.root().join(algorithm);
            found.extend(names(&directory, |name| format!("{algorithm}:{name}"))?);
        }
        Ok(found)
    }

    /// All parts of blobs.
    pub(crate) fn partial_files(&self) -> Result<Vec<(PathBuf, Digest)>> {
        names(&self.content.partial(), |name| name.replacen('-', ":", 1))
    }

    /// All unpacked layers.
    pub(crate) fn layer_directories(&self) -> Result<Vec<(PathBuf, Digest)>> {
        names(self.layers.root(), |name| format!("sha256:{name}"))
    }
}

/// The entries of `directory` that are named after digests; other names are not ours to judge.
fn names(directory: &Path, digest: impl Fn(&str) -> String) -> Result<Vec<(PathBuf, Digest)>> {
    let failed = |error| Error::file("read", directory, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| digest(name).parse().ok()) {
            found.push((entry.path(), name));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes a file and returns its size.
fn remove_file(path: &Path) -> Result<u64> {
    let size = std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path, error)),
        _ => Ok(size),
    }
}

//! Files that no image needs, and files that the store did not make.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::fs::FlockOperation;

use super::{Finding, Problem};
use crate::lease::Leftovers;
use crate::store::Store;
use crate::temporary::{dead, sweep};
use crate::{Error, Result};

/// Finds them. With `repair` a collection removes what no image needs; what is not known is left alone.
pub(super) fn check(
    store: &Store,
    conn: &Connection,
    repair: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut add = |problem, repaired| findings.push(Finding { problem, repaired });
    for directory in [store.content.temporary(), store.layers.temporary()] {
        for path in dead(&directory)? {
            add(Problem::DeadTemporary { path }, repair);
        }
        if repair {
            sweep(&directory)?;
        }
    }
    let alone = store.lock(FlockOperation::LockExclusive)?;
    let (leased, used) = store.needed(conn, Leftovers::Keep)?;
    for (_, blob) in store.blob_files()? {
        if !used.blobs.contains(&blob) && !leased.blobs.contains(&blob) {
            add(Problem::UnusedBlob { blob }, repair);
        }
    }
    for (path, blob) in store.partial_files()? {
        if !leased.blobs.contains(&blob) {
            add(Problem::StalePartial { path }, repair);
        }
    }
    for (_, chain) in store.layer_directories()? {
        if !used.layers.contains(&chain) && !leased.layers.contains(&chain) {
            add(Problem::UnusedLayer { chain }, repair);
        }
    }
    drop(alone);
    for path in unknown(store)? {
        add(Problem::UnknownFile { path }, false);
    }
    if repair {
        store.collect_garbage(conn)?;
    }
    Ok(())
}

fn unknown(store: &Store) -> Result<Vec<PathBuf>> {
    let blobs = store.content.root();
    let known: Vec<PathBuf> = store
        .blob_files()?
        .into_iter()
        .chain(store.partial_files()?)
        .chain(store.layer_directories()?)
        .map(|(path, _)| path)
        .chain(["sha256", "sha512", "tmp", "partial", "leases", "lock", "locks"].map(|name| blobs.join(name)))
        .chain(["tmp", "empty"].map(|name| store.layers.root().join(name)))
        .collect();
    let mut found = Vec::new();
    let partial = store.content.partial();
    let directories = [blobs, &blobs.join("sha256"), &blobs.join("sha512"), &partial, store.layers.root()];
    for directory in directories {
        found.extend(entries(directory)?.into_iter().filter(|path| !known.contains(path)));
    }
    // What came meanwhile is not unknown.
    found.retain(|path| path.symlink_metadata().is_ok());
    found.sort();
    Ok(found)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::file("read", directory, error);
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

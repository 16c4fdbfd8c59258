//! Leases: what a pull or a load under way needs of the store, written down so that a collection spares it.
//!
//! Content is in the store before the database knows of it. A lease is a file with the digests of that content, locked by
//! the process that brings it. It is written under the store's shared lock, and a collection works under the exclusive
//! one, so a collection either sees the lease or is over before anything is looked up. The lease of a process that was
//! killed keeps its content for a while, for whoever tries again; how long and how much is bounded.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::store::Store;
use crate::temporary::random_name;
use crate::{Error, Result};

/// How long content waits for another try.
const PATIENCE: Duration = Duration::from_hours(24);
/// Bytes that may wait.
const LEFTOVERS: u64 = 16 << 30;
/// Bytes of a lease's file: two digests for each of the layers that an image may have.
const LENGTH: u64 = 1 << 20;

/// Digests of blobs, and of layers by chain id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) blobs: Vec<Digest>,
    pub(crate) layers: Vec<Digest>,
}

/// A lease of this process. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Lease {
    path: PathBuf,
    held: Held,
    kept: bool,
    _fd: OwnedFd,
}

/// How a collection treats what dead processes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// It stays for another try, within the bounds.
    Keep,
    Drop,
}

impl Store {
    /// Holds content until the lease goes. Leases of dead processes that say the same are replaced by it.
    pub(crate) fn lease(&self, held: Held) -> Result<Lease> {
        let _shared = self.lock(FlockOperation::LockShared)?;
        let directory = self.content.leases();
        let bytes = serde_json::to_vec(&held).map_err(|error| Error::document("lease", error))?;
        let about = Digest::sha256(&bytes).short().to_owned();
        let path = directory.join(format!("{about}.{}", random_name()?.display()));
        let failed = |error: std::io::Error| Error::file("write", &path, error);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let fd =
            rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| failed(errno.into()))?;
        rustix::fs::flock(&fd, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        let mut file = File::from(fd);
        let written = file.write_all(&bytes);
        let lease = Lease { path: path.clone(), held, kept: false, _fd: file.into() };
        written.map_err(failed)?;
        for other in files(&directory)? {
            let same =
                other.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&about));
            if same && other != lease.path && try_lock(&other).is_some() {
                let _ = std::fs::remove_file(&other);
            }
        }
        Ok(lease)
    }

    /// Some lease is so old that its process must be very patient, or dead.
    pub(crate) fn has_expired_leases(&self) -> Result<bool> {
        let now = SystemTime::now();
        let expired = |path: &PathBuf| now.duration_since(modified(path)).is_ok_and(|age| age >= PATIENCE);
        Ok(files(&self.content.leases())?.iter().any(expired))
    }

    /// What leases hold. The caller has the store's exclusive lock. Dead leases beyond the bounds are removed; `size` tells
    /// how many bytes of the disk the content of one takes.
    pub(crate) fn leased(&self, leftovers: Leftovers, size: &dyn Fn(&Held) -> u64) -> Result<Leased> {
        let mut leased = Leased::default();
        let mut dead = Vec::new();
        for path in files(&self.content.leases())? {
            let lock = try_lock(&path);
            let held = read(&path);
            match (lock, held) {
                (None, held) => leased.add(&held.unwrap_or_default()),
                (Some(_), None) => remove(&path)?,
                (Some(_), Some(held)) => dead.push((modified(&path), path, held)),
            }
        }
        // The youngest first.
        dead.sort_by(|(one, ..), (other, ..)| other.cmp(one));
        let now = SystemTime::now();
        for (modified, path, held) in dead {
            // A clock that was set back makes no lease immortal.
            let age = now.duration_since(modified).unwrap_or(Duration::ZERO);
            let total = leased.left.saturating_add(size(&held));
            if leftovers == Leftovers::Keep && age < PATIENCE && total <= LEFTOVERS {
                leased.left = total;
                leased.add(&held);
            } else {
                remove(&path)?;
            }
        }
        Ok(leased)
    }
}

impl Lease {
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// Leaves the content for another try.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The content of all leases.
#[derive(Debug, Default)]
pub(crate) struct Leased {
    pub(crate) blobs: HashSet<Digest>,
    pub(crate) layers: HashSet<Digest>,
    /// Bytes that wait for another try.
    pub(crate) left: u64,
}

impl Leased {
    fn add(&mut self, held: &Held) {
        self.blobs.extend(held.blobs.iter().cloned());
        self.layers.extend(held.layers.iter().cloned());
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::file("read", directory, error);
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// `None` if a living process holds it, or it is gone.
fn try_lock(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).ok().map(|()| fd)
}

/// `None` for what was not written to its end.
fn read(path: &Path) -> Option<Held> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LENGTH).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path, error)),
        _ => Ok(()),
    }
}

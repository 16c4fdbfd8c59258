//! A blob on its way: `blobs/partial/<algorithm>-<hex>`, named after what it shall become.
//!
//! The file outlives the process that writes it, so that the next one goes on where it ended. Who writes holds the blob's
//! lock. Only
//! [`Whole::commit`] gives the blob its name in the store, after its digest was found right.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use crate::content::ContentStore;
use crate::digest::{Digest, Hasher};
use crate::locks::{DigestLock, Kind, Locks};
use crate::{Error, Result};

const BUFFER: usize = 256 << 10;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Partial {
    digest: Digest,
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Hasher,
    lock: DigestLock,
}

/// A blob that is whole and right, and has no name yet.
#[derive(Debug)]
pub(super) struct Whole {
    digest: Digest,
    path: PathBuf,
    _lock: DigestLock,
}

impl Partial {
    /// Opens what there is of a blob of `size` bytes, or begins it.
    pub(super) fn open(content: &ContentStore, digest: &Digest, size: u64, lock: DigestLock) -> Result<Self> {
        let path = content.partial_path(digest);
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|errno| Error::file("open", &path, errno))?;
        let found = file.metadata().map_err(|error| Error::file("inspect", &path, error))?;
        let hasher = Hasher::new(digest.algorithm());
        let mut partial = Self { digest: digest.clone(), path, file, length: 0, hasher, lock };
        if found.len() > size {
            partial.restart()?;
        }
        Ok(partial)
    }

    /// Hashes what is there already; `observe` hears how far it is.
    pub(super) fn recover(&mut self, mut observe: impl FnMut(u64) -> Result<()>) -> Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match self.file.read_at(&mut buffer, self.length) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::file("read", &self.path, error)),
            };
            self.hasher.update(buffer.get(..count).unwrap_or_default());
            self.length += count as u64;
            observe(self.length)?;
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let failed = |error| Error::file("write", &self.path, error);
        self.file.write_all_at(bytes, self.length).map_err(failed)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Throws away what is there.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|error| Error::file("truncate", &self.path, error))?;
        self.length = 0;
        self.hasher = Hasher::new(self.digest.algorithm());
        Ok(())
    }

    /// Of the bytes so far.
    pub(super) fn actual_digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Where the content is, now and when it has its name.
    pub(super) fn places(&self, content: &ContentStore) -> Vec<PathBuf> {
        vec![self.path.clone(), content.path(&self.digest)]
    }

    /// Ends the writing; the digest was found right.
    pub(super) fn whole(self) -> Whole {
        Whole { digest: self.digest, path: self.path, _lock: self.lock }
    }
}

impl Whole {
    /// The content, at most `limit` bytes.
    pub(super) fn read(&self, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(|error| Error::file("read", &self.path, error))?;
        Ok(bytes)
    }

    /// Names the blob, whose data is durable.
    pub(super) fn commit(self, content: &ContentStore) -> Result<()> {
        let path = content.path(&self.digest);
        std::fs::rename(&self.path, &path).map_err(|error| Error::file("create", &path, error))
    }
}

/// Removes what there is of a blob that has fewer than `size` bytes, unless somebody is at it.
pub(super) fn discard(content: &ContentStore, digest: &Digest, size: u64) -> Result<()> {
    let locks = Locks::open(&content.locks())?;
    let Some(_lock) = locks.try_acquire(Kind::Blob, digest)? else { return Ok(()) };
    let path = content.partial_path(digest);
    match std::fs::symlink_metadata(&path) {
        Ok(found) if found.len() < size => {
            std::fs::remove_file(&path).map_err(|error| Error::file("remove", &path, error))
        }
        _ => Ok(()),
    }
}

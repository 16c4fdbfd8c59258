//! Locks on blobs and layers in the making, by digest, between all threads and processes that use a store.
//!
//! A lock is one byte of the store's file of locks, at a place that the digest tells. An image of 500 layers thus takes
//! one descriptor for its locks, there is nothing to clean up, and the kernel gives free what a dead process held. The
//! locks belong to the open file (fcntl(2), "Open file description locks"): who opens the file anew is somebody else.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::{Error, Result};

/// What a digest is of: a blob and a layer with the same digest have a lock each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Blob,
    Layer,
}

/// The store's file of locks, opened for one user of it.
#[derive(Debug)]
pub(crate) struct Locks {
    file: OwnedFd,
    path: PathBuf,
}

/// A lock, held until it goes.
#[derive(Debug)]
pub(crate) struct DigestLock {
    locks: Arc<Locks>,
    place: i64,
}

impl Locks {
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::file("open", path, errno))?;
        Ok(Arc::new(Self { file, path: path.to_owned() }))
    }

    /// Takes the lock if nobody else holds it.
    pub(crate) fn try_acquire(self: &Arc<Self>, kind: Kind, digest: &Digest) -> Result<Option<DigestLock>> {
        let place = place(kind, digest);
        match set(&self.file, libc::F_WRLCK as libc::c_short, place) {
            Ok(()) => Ok(Some(DigestLock { locks: Arc::clone(self), place })),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(Error::file("lock", &self.path, errno)),
        }
    }

    /// Waits until nobody else holds the lock; `pause` passes the time between two looks, and may end it.
    ///
    /// A call that waits could not be given up when the work that it is for has failed elsewhere meanwhile.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        kind: Kind,
        digest: &Digest,
        mut pause: impl FnMut() -> Result<()>,
    ) -> Result<DigestLock> {
        loop {
            if let Some(lock) = self.try_acquire(kind, digest)? {
                return Ok(lock);
            }
            pause()?;
        }
    }
}

impl Drop for DigestLock {
    fn drop(&mut self) {
        let _ = set(&self.locks.file, libc::F_UNLCK as libc::c_short, self.place);
    }
}

/// 60 bits of the digest: two digests that share them only wait for each other.
fn place(kind: Kind, digest: &Digest) -> i64 {
    let start = digest.hex().get(..15).unwrap_or_default();
    let bits = i64::from_str_radix(start, 16).unwrap_or(0);
    match kind {
        Kind::Blob => bits << 1,
        Kind::Layer => bits << 1 | 1,
    }
}

fn set(file: &OwnedFd, kind: libc::c_short, place: i64) -> rustix::io::Result<()> {
    // SAFETY: a flock is plain data, for which zeros are a value; an open file description lock wants its l_pid to be 0.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = kind;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = place;
    range.l_len = 1;
    // SAFETY: the descriptor is open, and the pointer is to a flock that lives longer than the call.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_lock_has_one_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locks");
        let (inside, digest) = (AtomicU32::new(0), Digest::sha256(b"x"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let locks = Locks::open(&path).unwrap();
                    for _ in 0..50 {
                        let pause = || {
                            std::thread::yield_now();
                            Ok(())
                        };
                        let _lock = locks.acquire(Kind::Blob, &digest, pause).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }

    #[test]
    fn locks_are_apart_and_end_with_their_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locks");
        let (one, other) = (Locks::open(&path).unwrap(), Locks::open(&path).unwrap());
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let held = one.try_acquire(Kind::Blob, &a).unwrap().unwrap();
        assert!(other.try_acquire(Kind::Blob, &a).unwrap().is_none());
        assert!(other.try_acquire(Kind::Layer, &a).unwrap().is_some());
        assert!(other.try_acquire(Kind::Blob, &b).unwrap().is_some());
        std::mem::forget(held);
        drop(one);
        assert!(
            other.try_acquire(Kind::Blob, &a).unwrap().is_none(),
            "the forgotten lock keeps the file open"
        );
        let held = Locks::open(&path).unwrap().try_acquire(Kind::Blob, &b).unwrap();
        drop(held);
        assert!(other.try_acquire(Kind::Blob, &b).unwrap().is_some());
    }
}

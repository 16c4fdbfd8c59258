//! Temporary directories whose owner's death is visible.
//!
//! They are held by `flock`, which the kernel releases with the process that holds it. A directory whose lock is free
//! belongs to nobody and is removed by whoever comes next ([`sweep`]).

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result};

/// A directory that is removed with its contents when this value goes, or later by [`sweep`].
#[derive(Debug)]
pub(crate) struct TemporaryDirectory {
    path: PathBuf,
    /// Holds the lock.
    _fd: OwnedFd,
}

impl TemporaryDirectory {
    /// A new directory, mode 0700, in `parent`.
    pub(crate) fn create(parent: &Path) -> Result<Self> {
        loop {
            let path = parent.join(random_name()?);
            match rustix::fs::mkdir(&path, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(Error::file("create", &path, errno)),
            }
            // A sweeper may see the directory before it is locked, and take it.
            match lock(&path, OFlags::DIRECTORY, FlockOperation::LockExclusive) {
                Ok(Some(fd)) => return Ok(Self { path, _fd: fd }),
                Ok(None) => {}
                Err(errno) => return Err(Error::file("lock", &path, errno)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // What stays behind is found by the next sweep.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A lock file that stays: many may share it, or one hold it alone.
pub(crate) fn lock_file(path: &Path, operation: FlockOperation) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| Error::file("open", path, errno))?;
    flock(&fd, operation).map_err(|errno| Error::file("lock", path, errno))?;
    Ok(fd)
}

/// What in `parent` belongs to nobody.
pub(crate) fn dead(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut found = entries(parent)?;
    found.retain(|path| matches!(lock_dead(path), Ok(Some(_))));
    found.sort();
    Ok(found)
}

fn entries(parent: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::file("read", parent, error);
    let entries = std::fs::read_dir(parent).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

fn lock_dead(path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    let flags = if path.is_dir() { OFlags::DIRECTORY } else { OFlags::empty() };
    lock(path, flags, FlockOperation::NonBlockingLockExclusive)
}

/// Removes from `parent` what belongs to nobody.
pub(crate) fn sweep(parent: &Path) -> Result<()> {
    for path in entries(parent)? {
        if let Ok(Some(_held)) = lock_dead(&path) {
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &path, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Opens and locks; `None` if the path no longer names what was locked.
fn lock(path: &Path, flags: OFlags, operation: FlockOperation) -> rustix::io::Result<Option<OwnedFd>> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    flock(&fd, operation)?;
    let held = rustix::fs::fstat(&fd)?;
    match rustix::fs::lstat(path) {
        Ok(named) if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino) => Ok(Some(fd)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn flock(fd: &OwnedFd, operation: FlockOperation) -> rustix::io::Result<()> {
    loop {
        match rustix::fs::flock(fd, operation) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

pub(crate) fn random_name() -> Result<OsString> {
    use std::io::Read as _;
    let source = Path::new("/dev/urandom");
    let mut bytes = [0u8; 8];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Error::file("read", source, error))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_spares_the_living_and_removes_the_dead() {
        let parent = tempfile::tempdir().unwrap();
        let living = TemporaryDirectory::create(parent.path()).unwrap();
        std::fs::write(living.path().join("data"), b"x").unwrap();
        std::fs::create_dir_all(parent.path().join("dead/deep")).unwrap();
        std::fs::write(parent.path().join("file"), b"").unwrap();

        sweep(parent.path()).unwrap();
        assert!(living.path().join("data").exists());
        assert!(!parent.path().join("dead").exists());
        assert!(!parent.path().join("file").exists());

        drop(living);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}

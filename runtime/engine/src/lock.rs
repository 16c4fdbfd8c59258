//! Who owns a container: whoever holds `flock` on `containers/<id>/lock`.
//!
//! The command that creates a container takes the lock before the file has its name, and hands the
//! descriptor to the supervisor, so from the file's first moment to the owner's last it is never
//! free. A lock that can be taken therefore belongs to nobody: its owner is gone.
//!
//! Between the row in the database and the lock there is no lock yet. Whoever is there holds the
//! creation lock shared; whoever finds a row without a lock file takes it exclusively, and leaves the row
//! alone where that fails.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Name of the lock in a container's directory.
pub const FILE: &str = "lock";
/// Its name before it is locked.
const UNBORN: &str = "lock.new";

/// How long a supervisor may take for its clean-up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A held lock; released when every descriptor of the open file is closed, in all processes.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// For handing it to a child.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

/// What a container's lock says.
#[derive(Debug)]
pub enum Owner {
    /// A live process holds it.
    Alive,
    /// Nobody did; now we do.
    Gone(Lock),
    /// There is no lock file.
    NoLock,
}

/// Makes the lock of a new container, held from its first moment.
pub fn create(container_dir: &Path) -> Result<Lock> {
    let (unborn, path) = (container_dir.join(UNBORN), container_dir.join(FILE));
    let file = open(&unborn, OFlags::CREATE | OFlags::EXCL).map_err(Error::io("create", &unborn))?;
    take(&file, FlockOperation::NonBlockingLockExclusive).map_err(Error::io("lock", &unborn))?;
    std::fs::rename(&unborn, &path).map_err(Error::io("rename", &unborn))?;
    Ok(Lock(file))
}

/// Looks at the lock of a container, without waiting.
pub fn probe(container_dir: &Path) -> Result<Owner> {
    let path = container_dir.join(FILE);
    let file = match open(&path, OFlags::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Owner::NoLock),
        Err(e) => return Err(Error::io("open", path)(e)),
    };
    match take(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Owner::Gone(Lock(file))),
        Err(Errno::WOULDBLOCK) => Ok(Owner::Alive),
        Err(e) => Err(Error::io("lock", path)(e)),
    }
}

/// Waits for a lock whose holder is about to end, for [`PATIENCE`] at the most.
pub(crate) fn wait(container_dir: &Path) -> Result<Lock> {
    let path = container_dir.join(FILE);
    let file = open(&path, OFlags::empty()).map_err(Error::io("open", &path))?;
    let (sender, receiver) = std::sync::mpsc::channel();
    // flock(2) cannot be told a time. A thread that waits in vain ends with this process.
    std::thread::spawn(move || {
        let _ = sender.send(take(&file, FlockOperation::LockExclusive).map(|()| Lock(file)));
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(lock) => lock.map_err(Error::io("lock", path)),
        Err(_) => Err(Error::invalid(format!(
            "{} is still locked after {PATIENCE:?} by a supervisor that should have ended; look for it with \
             `fuser` and end it",
            path.display()
        ))),
    }
}

/// The lock of a container that this process was given as descriptor `number`; None if that is something else, or is
/// not locked by us.
pub(crate) fn inherited(container_dir: &Path, number: RawFd) -> Result<Option<Lock>> {
    let path = container_dir.join(FILE);
    // SAFETY: whether it is open, and what it is, is what the calls find out.
    let candidate = unsafe { BorrowedFd::borrow_raw(number) };
    let named = rustix::fs::lstat(&path).map_err(Error::io("stat", &path))?;
    let same = rustix::fs::fstat(candidate)
        .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (named.st_dev, named.st_ino));
    if !same || rustix::fs::flock(candidate, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    // SAFETY: it is the container's lock file, which this process has not opened, so it was inherited and nobody owns it.
    Ok(Some(Lock(File::from(unsafe { OwnedFd::from_raw_fd(number) }))))
}

/// The creation lock, shared: creating.
pub(crate) fn creating(path: &Path) -> Result<Lock> {
    let file = open(path, OFlags::CREATE).map_err(Error::io("create", path))?;
    take(&file, FlockOperation::LockShared).map_err(Error::io("lock", path))?;
    Ok(Lock(file))
}

/// The creation lock, exclusive: nobody is creating. None when somebody is.
pub(crate) fn nobody_creates(path: &Path) -> Result<Option<Lock>> {
    let file = open(path, OFlags::CREATE).map_err(Error::io("create", path))?;
    match take(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock(file))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(Error::io("lock", path)(e)),
    }
}

fn open(path: &Path, flags: OFlags) -> rustix::io::Result<File> {
    let flags = flags | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map(File::from)
}

fn take(file: &File, operation: FlockOperation) -> rustix::io::Result<()> {
    rustix::io::retry_on_intr(|| rustix::fs::flock(file.as_fd(), operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_then_gone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(probe(dir.path()).unwrap(), Owner::NoLock));
        let lock = create(dir.path()).unwrap();
        assert!(matches!(probe(dir.path()).unwrap(), Owner::Alive));
        let inherited = lock.file().try_clone().unwrap();
        drop(lock);
        assert!(
            matches!(probe(dir.path()).unwrap(), Owner::Alive),
            "a child that has the descriptor owns it"
        );
        drop(inherited);
        assert!(matches!(probe(dir.path()).unwrap(), Owner::Gone(_)));
    }

    #[test]
    fn creation_is_shared_and_excludes_reclaim() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("create.lock");
        let (one, two) = (creating(&path).unwrap(), creating(&path).unwrap());
        assert!(nobody_creates(&path).unwrap().is_none());
        drop((one, two));
        assert!(nobody_creates(&path).unwrap().is_some());
    }

    #[test]
    fn a_second_container_of_the_same_id_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(UNBORN), "").unwrap();
        assert!(create(dir.path()).is_err());
    }
}

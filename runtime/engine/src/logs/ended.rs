//! The end of a container as something to poll: its lock becomes free.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::error::{Error, Result};
use crate::lock::{self, Owner};

/// A descriptor that hangs up when the container's owner is gone; None if it has none.
pub(super) fn signal(container_dir: &Path) -> Result<Option<OwnedFd>> {
    if !matches!(lock::probe(container_dir)?, Owner::Alive) {
        return Ok(None);
    }
    let path = container_dir.join(lock::FILE);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::empty()).map_err(Error::io("open", &path))?;
    let (signal, held) = io::pipe().map_err(Error::system("make a pipe"))?;
    // The thread ends with the container, or with this process.
    let waiter = std::thread::Builder::new().name("container-end".to_owned()).spawn(move || {
        // However the wait ends, there is nothing more to wait for. Nobody is kept from the lock: it is given back at once.
        let _ = rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockShared));
        drop((file, held));
    });
    waiter.map_err(Error::system("start a thread"))?;
    Ok(Some(signal.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn hangs_up_when_the_owner_goes() {
        let dir = tempfile::tempdir().unwrap();
        assert!(signal(dir.path()).unwrap().is_none());
        let lock = lock::create(dir.path()).unwrap();
        let fd = signal(dir.path()).unwrap().unwrap();
        let mut waiting = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut waiting, Some(&now)).unwrap(), 0);
        drop(lock);
        assert_eq!(std::fs::File::from(fd).read(&mut [0]).unwrap(), 0);
        assert!(signal(dir.path()).unwrap().is_none());
    }
}

//! The /dev/shm of a running container, for another one that joins its IPC namespace.
//!
//! It is mounted in that container's mount namespace, whose processes decide what lies there. So its path is never
//! resolved from the host's root: a process of its own enters the namespace, where nothing of the host can be reached,
//! takes the place without following a link, refuses what is not memory, and hands a detached copy of the mount out.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{Context, Error};
use crate::init::prepare::hide_memory;
use crate::spawn::spawn_beside;
use crate::sync::{Channel, Message};
use crate::sys;
use crate::sys::mount::clone_tree;
use crate::sys::path::open_plain;
use crate::sys::signals;

/// TMPFS_MAGIC of `linux/magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// A detached copy of the mount on /dev/shm of the container whose init `init` (a pidfd) is.
///
/// The calling process must have one thread.
///
/// # Errors
/// When the container is gone, or has no shared memory.
pub fn shared_memory(init: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let (here, there) = Channel::pair()?;
    let process = spawn_beside(init, false, None, || crate::init::run(&there, || hand_out(init, &there)))?;
    drop(there);
    let answer = here.receive();
    // It has ended, or is about to: its answer was its last deed.
    process.wait()?;
    match answer? {
        Some((Message::Ready, Some(mount))) => Ok(mount),
        Some((Message::Error(error), _)) => Err(error),
        _ => Err(Error::InitDied("it did not hand out the shared memory".to_owned())),
    }
}

fn hand_out(init: BorrowedFd<'_>, channel: &Channel) -> Result<Infallible, Error> {
    signals::reset();
    // Before anything of the container can see this process.
    hide_memory()?;
    sys::setns(init, libc::CLONE_NEWNS).context(|| "enter the mount namespace of the container")?;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .context(|| "open the root of the container")?;
    let place =
        open_plain(root.as_fd(), Path::new("dev/shm")).context(|| "open /dev/shm of the container")?;
    let kind = rustix::fs::fstatfs(&place).context(|| "look at /dev/shm of the container")?.f_type as u64;
    if kind != TMPFS_MAGIC {
        return Err(Error::Refused("/dev/shm of the container is not a tmpfs".to_owned()));
    }
    let mount = clone_tree(place.as_fd(), Path::new(""), false)
        .context(|| "copy the mount on /dev/shm of the container")?;
    channel.send(&Message::Ready, Some(mount.as_fd()))?;
    // SAFETY: ends this process at once; nothing of it is needed any more.
    unsafe { libc::_exit(0) }
}

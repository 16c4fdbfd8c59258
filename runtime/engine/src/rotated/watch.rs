//! Waiting for a directory to change, without polling.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::clock::realtime_ns;
use crate::error::{Error, Result};

const SECOND: i64 = 1_000_000_000;

/// A watched directory. What happened before a wait and after the one before it ends that wait at once.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    Changed,
    /// Nothing will change any more: who changes things has ended, or the directory is gone.
    Ended,
    TimeIsUp,
}

impl Watch {
    pub(crate) fn new(dir: &Path) -> Result<Watch> {
        let what = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|error| match error {
            Errno::MFILE => Error::invalid(
                "cannot follow: this user has no inotify instance left; raise fs.inotify.max_user_instances",
            ),
            error => Error::system("make an inotify instance")(error),
        })?;
        inotify::add_watch(&watch, dir, what).map_err(|error| match error {
            Errno::NOSPC => Error::invalid(
                "cannot follow: this user has no inotify watch left; raise fs.inotify.max_user_watches",
            ),
            error => Error::io("watch", dir)(error),
        })?;
        Ok(Watch(watch))
    }

    /// Waits for a change, for `end` to be readable or hung up, or for the time.
    pub(crate) fn wait(&self, end: Option<BorrowedFd<'_>>, until_ns: Option<i64>) -> Result<Woken> {
        loop {
            let mut fds = vec![PollFd::new(&self.0, PollFlags::IN)];
            fds.extend(end.as_ref().map(|end| PollFd::new(end, PollFlags::IN)));
            let left = until_ns.map(|until| until.saturating_sub(realtime_ns()).max(0));
            let left = left.map(|ns| Timespec { tv_sec: ns / SECOND, tv_nsec: ns % SECOND });
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => return Ok(Woken::TimeIsUp),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(Error::system("wait for news")(error)),
            }
            let over = fds.get(1).is_some_and(|end| !end.revents().is_empty());
            let gone = self.drain().map_err(Error::system("read from inotify"))?;
            return Ok(if over || gone { Woken::Ended } else { Woken::Changed });
        }
    }

    /// Forgets what happened; whether the directory is gone.
    fn drain(&self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.0.as_fd(), &mut buffer);
        let mut gone = false;
        loop {
            match events.next() {
                Ok(event) => gone |= event.events().intersects(ReadFlags::DELETE_SELF | ReadFlags::IGNORED),
                Err(Errno::AGAIN) => return Ok(gone),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

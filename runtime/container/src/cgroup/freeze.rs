//! Freezing and thawing without waiting for it: the kernel tells through cgroup.events when it is done.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use super::Cgroup;
use super::lifecycle::value_of;
use crate::error::{Context, Error};

/// A cgroup on its way to be frozen. Its descriptor has an exceptional condition (`POLLPRI`) with each change.
#[derive(Debug)]
pub struct Freezing {
    events: OwnedFd,
    path: PathBuf,
}

impl Freezing {
    /// Whether every process stands still.
    ///
    /// # Errors
    /// When the cgroup is gone.
    pub fn is_done(&self) -> Result<bool, Error> {
        let mut buffer = [0; 256];
        let count = rustix::io::pread(&self.events, &mut buffer, 0)
            .context(|| format!("read {}/cgroup.events", self.path.display()))?;
        let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
        Ok(value_of(&text, "frozen") == Some(1))
    }
}

impl AsRawFd for Freezing {
    fn as_raw_fd(&self) -> RawFd {
        self.events.as_raw_fd()
    }
}

impl Cgroup {
    /// Tells the kernel to freeze all processes.
    pub(crate) fn begin_freeze(&self) -> Result<Freezing, Error> {
        let events = rustix::fs::openat(
            self.fd(),
            "cgroup.events",
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .context(|| format!("open {}/cgroup.events", self.path().display()))?;
        self.write_freeze(true)?;
        Ok(Freezing { events, path: self.path().to_owned() })
    }

    /// Lets them run again, whether all were frozen already or not.
    pub(crate) fn thaw(&self) -> Result<(), Error> {
        self.write_freeze(false)
    }

    pub(super) fn write_freeze(&self, frozen: bool) -> Result<(), Error> {
        let value = if frozen { "1" } else { "0" };
        self.write("cgroup.freeze", value)
            .context(|| format!("write {value} to {}/cgroup.freeze", self.path().display()))
    }
}

//! What must be opened before the jail closes: the shared directory, and the way from descriptors to files.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

/// The directory to share and this process's `/proc/self/fd`.
///
/// Linux 6.12 can turn an O_PATH descriptor into an open file only through procfs; file handles would need
/// CAP_DAC_READ_SEARCH over the initial user namespace and an overlay that can be exported. The jail has no
/// `/proc`, so the directory of descriptors is opened before, in the process that will serve (not in its
/// parent), and if possible as a detached mount of its own, from which `..` leads nowhere.
#[derive(Debug)]
pub struct ShareRoot {
    pub(super) dir: OwnedFd,
    pub(super) proc_self_fd: OwnedFd,
}

/// A share that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    #[error("cannot open the shared directory {path}: {errno}")]
    Open { path: PathBuf, errno: Errno },
    #[error(
        "cannot open /proc/self/fd, which files of a share are opened through: {0}; mount procfs at /proc"
    )]
    Proc(Errno),
}

impl ShareRoot {
    /// Opens the directory at `path`, which the caller has chosen and trusts, and `/proc/self/fd`.
    ///
    /// # Errors
    /// If `path` is no directory that can be opened, or procfs is not mounted at `/proc`.
    pub fn open(path: &Path) -> Result<Self, ShareError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| ShareError::Open { path: path.to_owned(), errno })?;
        Ok(Self { dir, proc_self_fd: open_proc_self_fd()? })
    }

    /// Uses descriptors that are open already; `proc_self_fd` must be this process's.
    pub fn from_descriptors(dir: OwnedFd, proc_self_fd: OwnedFd) -> Self {
        Self { dir, proc_self_fd }
    }
}

/// `/proc/self/fd`, detached from the rest of procfs if this process may do that.
///
/// # Errors
/// If procfs is not mounted at `/proc`.
pub fn open_proc_self_fd() -> Result<OwnedFd, ShareError> {
    let path = c"/proc/self/fd";
    let detached = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(rustix::fs::CWD, path, detached)
        .or_else(|_| {
            rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        })
        .map_err(ShareError::Proc)
}

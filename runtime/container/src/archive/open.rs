//! Looking at a file before opening it, and opening exactly what was looked at.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::{Errno, Result};

/// Names of one directory that are taken into memory, to be in order.
const NAMES: usize = 1 << 20;

/// A file as a place: nothing of it is open.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) fd: OwnedFd,
    pub(super) stat: Stat,
}

impl Place {
    pub(super) fn of(fd: OwnedFd) -> Result<Self> {
        let stat = fstat(&fd)?;
        Ok(Self { fd, stat })
    }

    /// `name` in `directory`; a link is itself.
    pub(super) fn child(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Self> {
        Self::of(openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The same, and whether something is mounted there.
    pub(super) fn child_beneath(directory: BorrowedFd<'_>, name: &[u8]) -> Result<(Self, bool)> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat2(directory, name, flags, Mode::empty(), ResolveFlags::NO_XDEV | ResolveFlags::BENEATH) {
            Ok(fd) => Ok((Self::of(fd)?, false)),
            Err(Errno::XDEV) => Ok((Self::child(directory, name)?, true)),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }

    pub(super) fn link_target(&self) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, "", Vec::new())?.into_bytes())
    }

    /// Opens a directory for reading.
    pub(super) fn open_directory(&self) -> Result<OwnedFd> {
        openat(&self.fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Opens a regular file for reading: through the descriptor, so that no other file can have come to its name.
    pub(super) fn open_file(&self) -> Result<File> {
        if self.kind() != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat(CWD, path, flags, Mode::empty()).map(File::from)
    }
}

/// The names in a directory, in the order of their bytes.
pub(super) fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if names.len() >= NAMES {
            return Err(Errno::FBIG);
        }
        names.push(name.to_vec());
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes `name` with everything in it; `depth` levels at most.
///
/// What something is mounted on is busy: for us, who are in another mount namespace than the container, the kernel would
/// take the mount away from it.
pub(super) fn remove(parent: BorrowedFd<'_>, name: &[u8], depth: usize) -> Result<()> {
    match Place::child_beneath(parent, name) {
        Ok((_, true)) => return Err(Errno::BUSY),
        Err(Errno::NOENT) => return Ok(()),
        other => drop(other?),
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        Err(Errno::NOENT) => return Ok(()),
        other => return other,
    }
    let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    for name in names(directory.as_fd())? {
        remove(directory.as_fd(), &name, depth)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

//! `diff`: what a container changed in its image's files, found by its upper directory.
//!
//! Two trees are compared as Docker compares them: a directory counts as changed by its owner, its mode or what changed in
//! it, never by its time; everything else by its size and time besides.

mod lower;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use sandbox_shim::plan::Rootfs;

use self::lower::{Found, Lower, is_opaque, is_whiteout, names};
use crate::archive::Hold;
use crate::error::{Error, Result};

/// Directories above each other.
const DEPTH: usize = 256;
/// What a start makes where the image has none, to mount on.
const MADE_BY_US: [&str; 11] = [
    "/dev",
    "/dev/console",
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc",
    "/sys",
    "/sys/fs/cgroup",
];

/// How a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    Changed,
    Added,
    Deleted,
}

impl std::fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ChangeKind::Changed => "C",
            ChangeKind::Added => "A",
            ChangeKind::Deleted => "D",
        })
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    pub kind: ChangeKind,
    /// From the container's root; not necessarily text.
    pub path: Vec<u8>,
}

/// The changes of a container, in the order of their paths.
pub(crate) fn diff(rootfs: &Rootfs, hold: &Hold) -> Result<Vec<FileChange>> {
    hold.sync()?;
    changes(rootfs)
}

fn changes(rootfs: &Rootfs) -> Result<Vec<FileChange>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let upper =
        rustix::fs::open(&rootfs.upper, flags, Mode::empty()).map_err(Error::io("open", &rootfs.upper))?;
    let lower = Lower::root(&rootfs.lower).map_err(Error::system("open the image's layers"))?;
    let mut walk = Walk { changes: Vec::new() };
    walk.directory(&upper, &lower, &mut Vec::new(), 0)?;
    let mut changes = walk.changes;
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(changes)
}

struct Walk {
    changes: Vec<FileChange>,
}

impl Walk {
    fn add(&mut self, kind: ChangeKind, path: &[u8]) {
        self.changes.push(FileChange { kind, path: path.to_vec() });
    }

    /// Compares one directory of the upper with the same one of the image.
    fn directory(&mut self, upper: &OwnedFd, lower: &Lower, path: &mut Vec<u8>, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(failed(path, Errno::NAMETOOLONG));
        }
        let present = names(upper).map_err(|errno| failed(path, errno))?;
        if is_opaque(upper).map_err(|errno| failed(path, errno))? {
            self.deleted(lower, path, |name| !present.iter().any(|present| present == name))?;
        }
        for name in &present {
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(name);
            let compared = self.entry(upper, lower, name, path, depth);
            compared.map_err(|errno| failed(path, errno)).and_then(|inner| inner)?;
            path.truncate(length);
        }
        Ok(())
    }

    /// The outer error is of what is at the path itself.
    fn entry(
        &mut self,
        upper: &OwnedFd,
        lower: &Lower,
        name: &[u8],
        path: &mut Vec<u8>,
        depth: usize,
    ) -> rustix::io::Result<Result<()>> {
        let stat = match statat(upper, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // The container removed it meanwhile.
            Err(Errno::NOENT) => return Ok(Ok(())),
            Err(errno) => return Err(errno),
        };
        let before = lower.look_up(name)?;
        if is_whiteout(&stat) || is_whiteout_file(upper, name, &stat)? {
            if before.is_some() {
                self.add(ChangeKind::Deleted, path);
            }
            return Ok(Ok(()));
        }
        let at = self.changes.len();
        let nothing = Lower::default();
        let inner = before.as_ref().and_then(|found| found.inner.as_ref()).unwrap_or(&nothing);
        if kind(&stat) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = openat(upper, name, flags, Mode::empty())?;
            if let Err(error) = self.directory(&directory, inner, path, depth + 1) {
                return Ok(Err(error));
            }
        } else if let Err(error) = self.deleted(inner, path, |_| true) {
            return Ok(Err(error));
        }
        let own = match &before {
            None if self.changes.len() == at && is_ours(path, &stat) => None,
            None => Some(ChangeKind::Added),
            Some(found) if differ(upper, name, &stat, found) => Some(ChangeKind::Changed),
            Some(_) if self.changes.len() > at => Some(ChangeKind::Changed),
            Some(_) => None,
        };
        if let Some(kind) = own {
            self.add(kind, path);
        }
        Ok(Ok(()))
    }

    /// What the image has in a directory and the container does not.
    fn deleted(&mut self, lower: &Lower, path: &[u8], gone: impl Fn(&Vec<u8>) -> bool) -> Result<()> {
        for name in lower.names().map_err(|errno| failed(path, errno))?.iter().filter(|name| gone(name)) {
            self.add(ChangeKind::Deleted, &[path, b"/", name].concat());
        }
        Ok(())
    }
}

fn failed(path: &[u8], errno: Errno) -> Error {
    let path = if path.is_empty() { "/".into() } else { String::from_utf8_lossy(path) };
    Error::invalid(format!("compare {path} with the image: {}", std::io::Error::from(errno)))
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A place to mount on that nobody has put anything into.
fn is_ours(path: &[u8], stat: &Stat) -> bool {
    let empty = kind(stat) == FileType::Directory || kind(stat) == FileType::RegularFile && stat.st_size == 0;
    empty && (path == b"/etc" || path == b"/sys/fs" || MADE_BY_US.iter().any(|ours| ours.as_bytes() == path))
}

/// The other form of a removed name: an empty file with an attribute.
fn is_whiteout_file(upper: &OwnedFd, name: &[u8], stat: &Stat) -> rustix::io::Result<bool> {
    if kind(stat) != FileType::RegularFile || stat.st_size != 0 {
        return Ok(false);
    }
    Ok(attribute(upper, name, "trusted.overlay.whiteout")?.is_some())
}

fn differ(upper: &OwnedFd, name: &[u8], now: &Stat, found: &Found) -> bool {
    let before = &found.stat;
    let same_time = now.st_mtime == before.st_mtime
        && (now.st_mtime_nsec == before.st_mtime_nsec || now.st_mtime_nsec == 0 || before.st_mtime_nsec == 0);
    let capability = |directory: &OwnedFd| attribute(directory, name, "security.capability").unwrap_or(None);
    (now.st_mode, now.st_uid, now.st_gid, now.st_rdev)
        != (before.st_mode, before.st_uid, before.st_gid, before.st_rdev)
        || kind(now) != FileType::Directory && (!same_time || now.st_size != before.st_size)
        || kind(now) == FileType::RegularFile && capability(upper) != capability(&found.holder)
}

/// An attribute of a regular file, of up to 64 bytes.
fn attribute(directory: &OwnedFd, name: &[u8], attribute: &str) -> rustix::io::Result<Option<Vec<u8>>> {
    let file = openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if kind(&rustix::fs::fstat(&file)?) != FileType::RegularFile {
        return Ok(None);
    }
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let mut value = [0u8; 64];
    let open = openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::fs::fgetxattr(&open, attribute, &mut value[..]) {
        Ok(length) => Ok(Some(value.get(..length).unwrap_or_default().to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(Errno::RANGE) => Ok(Some(Vec::new())),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests;

//! The content of files that come from a layer below.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags, mknodat, openat, readlinkat, symlinkat};
use rustix::io::Errno;
use sandbox_tar::metadata::{self, Metadata};

use super::fs;

/// Copies the file `name` of a layer below to the same place in this one.
pub(super) fn copy_up(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    let found = fs::stat(from, name)?.ok_or(Errno::NOENT)?;
    let plain = Metadata {
        uid: found.st_uid,
        gid: found.st_gid,
        mode: found.st_mode & 0o7777,
        mtime: (found.st_mtime as i64, found.st_mtime_nsec as u32),
        xattrs: Vec::new(),
    };
    match fs::kind(&found) {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let source = openat(from, name, flags, Mode::empty())?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let copy = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
            std::io::copy(
                &mut std::fs::File::from(source.try_clone().map_err(|_| Errno::MFILE)?),
                &mut std::fs::File::from(copy.try_clone().map_err(|_| Errno::MFILE)?),
            )
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            metadata::read(source.as_fd())?.apply(copy.as_fd())
        }
        FileType::Symlink => {
            symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
            plain.apply_named(to, name, false)
        }
        kind @ (FileType::Fifo | FileType::CharacterDevice) => {
            mknodat(to, name, kind, Mode::empty(), found.st_rdev)?;
            plain.apply_named(to, name, true)
        }
        _ => Err(Errno::PERM),
    }
}

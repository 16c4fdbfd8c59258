//! The content of files: from the archive, or from a layer below.

use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags, mknodat, openat, readlinkat, symlinkat};
use rustix::io::Errno;

use super::metadata::{self, Metadata};
use super::{LayerError, entry_error, fs, tar_error};
use crate::tar::{Entry, TarReader};

/// Files at least this long may have holes for their zeros.
const HOLES_FROM: u64 = 1 << 20;

/// Writes the data of `entry`, which is next in `tar`.
pub(super) fn write<R: BufRead>(
    file: BorrowedFd<'_>,
    entry: &Entry,
    tar: &mut TarReader<R>,
) -> Result<(), LayerError> {
    let failed = |errno| entry_error(&entry.path, "write", errno);
    let mut pieces = entry.sparse.iter().flatten().filter(|piece| piece.length > 0);
    let (mut offset, mut left) = match entry.sparse {
        Some(_) => (0, 0),
        None => (0, entry.size),
    };
    let mut written = 0;
    loop {
        while left == 0 {
            let Some(piece) = pieces.next() else { break };
            (offset, left) = (piece.offset, piece.length);
        }
        let data = tar.data().map_err(tar_error)?;
        if data.is_empty() {
            break;
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        let part = data.get(..count).unwrap_or_default();
        if entry.size < HOLES_FROM || part.iter().any(|byte| *byte != 0) {
            write_at(file, part, offset).map_err(failed)?;
            written = offset + count as u64;
        }
        tar.consume(count);
        offset += count as u64;
        left -= count as u64;
    }
    if written != entry.size {
        rustix::fs::ftruncate(file, entry.size).map_err(failed)?;
    }
    Ok(())
}

fn write_at(file: BorrowedFd<'_>, mut data: &[u8], mut offset: u64) -> rustix::io::Result<()> {
    while !data.is_empty() {
        match rustix::io::pwrite(file, data, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                data = data.get(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

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

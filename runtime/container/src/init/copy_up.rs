//! `tmpcopyup`: what the image has below a tmpfs is copied into it before it covers it.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

/// Deeper trees than this are refused: each level costs a descriptor.
const MAX_DEPTH: u32 = 64;
/// The most that is copied, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Copies directories, files and links of `from` into `to`; devices, FIFOs and sockets are left out.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut left = MAX_BYTES;
    let from =
        rustix::fs::openat(from, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    copy_directory(from.as_fd(), to, 0, &mut left)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32, left: &mut u64) -> Result<(), Errno> {
    if depth > MAX_DEPTH {
        return Err(Errno::LOOP);
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner_from = rustix::fs::openat(from, name, directory, Mode::empty())?;
                let inner_to = rustix::fs::openat(to, name, directory, Mode::empty())?;
                copy_directory(inner_from.as_fd(), inner_to.as_fd(), depth + 1, left)?;
                set_owner(inner_to.as_fd(), &stat, mode)?;
            }
            FileType::RegularFile => {
                *left = left.checked_sub(stat.st_size as u64).ok_or(Errno::NOSPC)?;
                copy_file(from, to, name, &stat, mode)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target.as_c_str(), to, name)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy_file(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    stat: &Stat,
    mode: Mode,
) -> Result<(), Errno> {
    let source =
        rustix::fs::openat(from, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&source, &mut buffer))?;
        if count == 0 {
            return set_owner(target.as_fd(), stat, mode);
        }
        let mut rest = buffer.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(&target, rest))?;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}

fn set_owner(fd: BorrowedFd<'_>, stat: &Stat, mode: Mode) -> Result<(), Errno> {
    rustix::fs::fchown(fd, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::fchmod(fd, mode)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_tree_arrives_as_it_is() {
        let (from, to) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        std::fs::create_dir(from.path().join("d")).expect("mkdir");
        std::fs::write(from.path().join("d/f"), "text").expect("write");
        std::fs::set_permissions(from.path().join("d/f"), PermissionsExt::from_mode(0o4711)).expect("chmod");
        std::os::unix::fs::symlink("/etc/passwd", from.path().join("l")).expect("symlink");
        let open = |dir: &tempfile::TempDir| std::fs::File::open(dir.path()).expect("open");
        copy(open(&from).as_fd(), open(&to).as_fd()).expect("copied");
        assert_eq!(std::fs::read_to_string(to.path().join("d/f")).expect("read"), "text");
        let mode = std::fs::metadata(to.path().join("d/f")).expect("stat").permissions().mode();
        assert_eq!(mode & 0o7777, 0o4711);
        assert_eq!(std::fs::read_link(to.path().join("l")).expect("link").to_str(), Some("/etc/passwd"));
    }
}

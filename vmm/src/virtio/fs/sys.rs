//! The host's system calls that pass file descriptors, single names and guest memory; each confined as its doc says.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::buffers::IoVectors;
use super::filesystem::FsResult;
use super::protocol::Name;

/// How names below the share are resolved: never through a symlink, never upwards. Mounts may be crossed,
/// because a share is made of bind mounts and an overlay.
const CONFINED: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_SYMLINKS);

/// What tells one inode from all others: device, inode number and mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct InodeKey {
    pub device: u64,
    pub inode: u64,
    pub mount: u64,
}

/// An inode's key and its type, which never changes: a number that was reused may show here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub key: InodeKey,
    /// `S_IFMT` bits of the mode.
    pub file_type: u32,
}

impl Identity {
    pub(crate) fn of(stat: &Statx) -> Self {
        Self {
            key: InodeKey {
                device: u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor),
                inode: stat.stx_ino,
                mount: stat.stx_mnt_id,
            },
            file_type: u32::from(stat.stx_mode) & libc::S_IFMT,
        }
    }
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID
}

/// Attributes of an open file; works on O_PATH descriptors.
pub(crate) fn stat(fd: BorrowedFd<'_>) -> FsResult<Statx> {
    rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, wanted())
}

/// Attributes of a directory entry, not following a symlink and triggering no automount.
pub(crate) fn stat_at(dir: BorrowedFd<'_>, name: Name<'_>) -> FsResult<Statx> {
    rustix::fs::statx(dir, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, wanted())
}

/// An O_PATH descriptor of a directory entry, whatever it is; opens nothing.
pub(crate) fn open_path(dir: BorrowedFd<'_>, name: Name<'_>) -> FsResult<OwnedFd> {
    open_confined(dir, name.as_c_str(), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
}

/// Creates a file; fails if the name exists in any form.
pub(crate) fn create_file(
    dir: BorrowedFd<'_>,
    name: Name<'_>,
    flags: OFlags,
    mode: u32,
) -> FsResult<OwnedFd> {
    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    open_confined(dir, name.as_c_str(), flags, Mode::from_raw_mode(mode))
}

/// Creates a file without a name in `dir`.
pub(crate) fn create_unnamed(dir: BorrowedFd<'_>, flags: OFlags, mode: u32) -> FsResult<OwnedFd> {
    open_confined(dir, c".", flags | OFlags::TMPFILE, Mode::from_raw_mode(mode))
}

fn open_confined(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags, mode: Mode) -> FsResult<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    retry(|| rustix::fs::openat2(dir, name, flags, mode, CONFINED))
}

/// Repeats a call that a signal interrupted.
pub(crate) fn retry<T>(mut call: impl FnMut() -> FsResult<T>) -> FsResult<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// The name of an open descriptor below `/proc/self/fd`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FdName {
    digits: [u8; 12],
    start: usize,
}

impl FdName {
    pub(crate) fn new(fd: impl AsFd) -> Self {
        let mut left = fd.as_fd().as_raw_fd().unsigned_abs();
        let mut name = Self { digits: [0; 12], start: 11 };
        // Eleven digits hold any i32; the twelfth byte stays NUL.
        for slot in name.digits.iter_mut().take(11).rev() {
            *slot = b'0' + (left % 10) as u8;
            name.start -= 1;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        name
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        self.digits.get(self.start..).and_then(|text| CStr::from_bytes_with_nul(text).ok()).unwrap_or(c"")
    }
}

/// `preadv2` into guest memory.
pub(crate) fn read_vectored(
    fd: BorrowedFd<'_>,
    data: &IoVectors<'_>,
    offset: i64,
    flags: i32,
) -> FsResult<usize> {
    let vectors = data.remaining();
    retry(|| {
        // SAFETY: `IoVectors` covers writable guest memory that outlives it; the kernel checks descriptor and offset.
        let count =
            unsafe { libc::preadv2(fd.as_raw_fd(), vectors.as_ptr(), vectors.len() as i32, offset, flags) };
        counted(count)
    })
}

/// `pwritev2` from guest memory.
pub(crate) fn write_vectored(
    fd: BorrowedFd<'_>,
    data: &IoVectors<'_>,
    offset: i64,
    flags: i32,
) -> FsResult<usize> {
    let vectors = data.remaining();
    retry(|| {
        // SAFETY: `IoVectors` covers readable guest memory that outlives it; the kernel checks descriptor and offset.
        let count =
            unsafe { libc::pwritev2(fd.as_raw_fd(), vectors.as_ptr(), vectors.len() as i32, offset, flags) };
        counted(count)
    })
}

/// Raw `getdents64`: fills `buffer` with `struct linux_dirent64`s and returns their length.
pub(crate) fn read_directory(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> FsResult<usize> {
    retry(|| {
        // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
        let count =
            unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
        counted(count as isize)
    })
}

/// An open file description lock command (`F_OFD_SETLK`, `F_OFD_GETLK`).
pub(crate) fn lock_command(fd: BorrowedFd<'_>, command: i32, lock: &mut libc::flock) -> FsResult<()> {
    // SAFETY: both commands take a pointer to a `struct flock` and keep none.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), command, std::ptr::from_mut(lock)) };
    counted(result as isize).map(drop)
}

/// Turns a -1 of the C library into errno.
pub(crate) fn counted(result: isize) -> FsResult<usize> {
    usize::try_from(result).map_err(|_| last_errno())
}

/// The errno of the call before.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_names_are_decimal() {
        for fd in [0, 7, 10, 65_535, i32::MAX] {
            // SAFETY: the descriptor is only formatted, never used.
            let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
            assert_eq!(FdName::new(borrowed).as_c_str().to_str().unwrap(), fd.to_string());
        }
    }
}

//! System calls that no crate of the set wraps, and small compositions of those that are.

pub(crate) mod clone;
pub(crate) mod mount;
pub(crate) mod path;
pub(crate) mod signals;

use rustix::io::Errno;

/// A raw system call.
///
/// # Safety
/// The arguments must be what the kernel expects for `number`; pointers must be valid for the call.
unsafe fn syscall(number: libc::c_long, args: [usize; 5]) -> Result<usize, Errno> {
    let [first, second, third, fourth, fifth] = args;
    // SAFETY: the caller promises that number and arguments belong together.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth) };
    if result < 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        return Err(Errno::from_raw_os_error(errno));
    }
    Ok(result as usize)
}

/// A raw system call of up to three arguments.
///
/// # Safety
/// As for [`syscall`].
pub(crate) unsafe fn syscall3(number: libc::c_long, a: usize, b: usize, c: usize) -> Result<usize, Errno> {
    // SAFETY: passed on to the caller.
    unsafe { syscall(number, [a, b, c, 0, 0]) }
}

/// Closes every descriptor from `first` to `last`.
pub(crate) fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: no pointers; the callers are processes whose later code uses no descriptor of the range.
    unsafe { syscall3(libc::SYS_close_range, first as usize, last as usize, 0) }.map(drop)
}

/// Joins a new session keyring of this name (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING).
pub(crate) fn join_session_keyring(name: &std::ffi::CStr) -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    // SAFETY: `name` is a string that lives during the call.
    unsafe { syscall3(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr() as usize, 0) }.map(drop)
}

/// Sets the execution domain (personality(2)).
pub(crate) fn personality(value: u32) -> Result<(), Errno> {
    // SAFETY: no pointers.
    unsafe { syscall3(libc::SYS_personality, value as usize, 0, 0) }.map(drop)
}

/// Joins the namespaces `flags` (CLONE_NEW*): one when `target` is a namespace file, any number when it is a pidfd.
pub(crate) fn setns(target: std::os::fd::BorrowedFd<'_>, flags: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    // SAFETY: no pointers; this process has one thread, so no thread is left behind in the old namespace.
    unsafe { syscall3(libc::SYS_setns, target.as_raw_fd() as usize, flags as usize, 0) }.map(drop)
}

/// Leaves the namespaces `flags` (CLONE_NEW*) for new ones.
pub(crate) fn unshare(flags: i32) -> Result<(), Errno> {
    // SAFETY: only namespace flags are passed, never CLONE_FILES or CLONE_FS.
    unsafe { syscall3(libc::SYS_unshare, flags as usize, 0, 0) }.map(drop)
}

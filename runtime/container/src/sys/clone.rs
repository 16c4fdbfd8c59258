//! clone3 as a fork into namespaces and a cgroup.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Pid;

/// libc's constant is an i32 and overflows to 0.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_PIDFD: u64 = 0x1000;
/// The child becomes a sibling of the caller.
pub(crate) const CLONE_PARENT: u64 = 0x8000;

/// `struct clone_args` of `linux/sched.h`, version 2 (with the cgroup).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of the fork this is.
#[derive(Debug)]
pub(crate) enum Forked {
    Child,
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// Forks with the namespace flags `flags` (CLONE_NEW*, CLONE_PARENT), into `cgroup` when given.
///
/// # Safety
/// The process must have one thread: the child gets a copy of the memory as it is, locks included.
/// The child must end with exec or _exit and never return into code that the parent also runs.
pub(crate) unsafe fn fork(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Forked, Errno> {
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        // With CLONE_PARENT the kernel takes the caller's own exit signal.
        exit_signal: if flags & CLONE_PARENT == 0 { libc::SIGCHLD as u64 } else { 0 },
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    let pointer = std::ptr::from_mut(&mut args) as usize;
    // SAFETY: args is a live clone_args of the size given; without CLONE_VM the child has a stack of its own.
    let result = unsafe { super::syscall3(libc::SYS_clone3, pointer, size_of::<CloneArgs>(), 0) }?;
    match i32::try_from(result).ok().and_then(Pid::from_raw) {
        None => Ok(Forked::Child),
        Some(pid) => {
            // SAFETY: CLONE_PIDFD stored a new descriptor there that nobody else owns; it is CLOEXEC.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid, pidfd })
        }
    }
}

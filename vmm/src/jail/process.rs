//! What the monitor does to its own process, whether jailed or not.

use std::io;

use rustix::process::{
    DumpableBehavior, Pid, Signal, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::set_no_new_privs;

use super::{Error, during};

/// Standard streams and the control socket.
const LAST_INHERITED: u32 = 3;

/// Closes every file but the standard streams and fd 3.
///
/// # Errors
/// Those of close_range(2).
pub fn close_inherited_files() -> Result<(), Error> {
    // SAFETY: nothing in this process owns files beyond these yet; main calls it first.
    let result = unsafe { libc::syscall(libc::SYS_close_range, LAST_INHERITED + 1, u32::MAX, 0) };
    if result == 0 { Ok(()) } else { Err(during("cannot close inherited files")(io::Error::last_os_error())) }
}

/// The kernel kills this process when the thread that started it ends. Changing the user undoes it, so the jail
/// calls it again.
///
/// # Errors
/// Those of prctl(2), or that `parent` is gone already.
pub fn die_with_parent(parent: Option<Pid>) -> Result<(), Error> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| during("cannot follow the parent's death")(e.into()))?;
    if rustix::process::getppid() == parent {
        Ok(())
    } else {
        Err(during("the parent is gone")(io::ErrorKind::NotFound.into()))
    }
}

/// rustix asks the kernel for it (page size, vDSO) at first use, which no filter allows.
pub(super) fn read_auxiliary_vector() {
    rustix::param::page_size();
}

/// Keeps the C library from giving each thread a heap of its own, 128 MiB of address space and four system calls:
/// nothing allocates often enough here to wait for another.
pub fn share_heap() {
    // SAFETY: no other thread is there yet; a refusal changes nothing.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// No set-uid gain, no core dump and no ptrace by others of the same user; and dies with its parent.
pub(super) fn harden() -> Result<(), Error> {
    let parent = rustix::process::getppid();
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|e| during("cannot forbid core dumps")(e.into()))?;
    set_no_new_privs(true).map_err(|e| during("cannot set no_new_privs")(e.into()))?;
    die_with_parent(parent)
}

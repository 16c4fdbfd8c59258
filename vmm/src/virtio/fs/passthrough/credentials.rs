//! On whose behalf the calling thread acts on the host.
//!
//! New inodes get the guest user's uid and gid through the thread's file system ids, and his umask through
//! the thread's own umask, so that the host applies default ACLs as it does for its own processes. The thread
//! keeps its capabilities meanwhile: the guest's kernel has checked permissions. Only CAP_FSETID is lowered
//! when the guest says that the caller lacks it, for the host to clear set-user-id bits. What was set last
//! stays and is remembered: a container that runs as one user costs no extra system call.

use std::cell::Cell;
use std::os::fd::BorrowedFd;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities};

use crate::virtio::fs::filesystem::FsResult;

/// What the thread has set.
#[derive(Debug, Clone, Copy)]
struct State {
    umask: u32,
    uid: u32,
    gid: u32,
    /// CAP_FSETID is effective.
    fsetid: bool,
    /// The kernel takes file capabilities away when the file system uid changes.
    fixup: bool,
}

thread_local! {
    static STATE: Cell<Option<State>> = const { Cell::new(None) };
}

/// `SECBIT_NO_SETUID_FIXUP` of capabilities(7).
const NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;

/// Makes the thread ready to serve: a current directory and umask of its own; the directory is
/// `/proc/self/fd`, for calls that only take a path. Does nothing the second time.
///
/// # Errors
/// What `unshare(CLONE_FS)` or `fchdir` answer.
pub(super) fn prepare(proc_self_fd: BorrowedFd<'_>) -> FsResult<()> {
    state(proc_self_fd).map(drop)
}

fn state(proc_self_fd: BorrowedFd<'_>) -> FsResult<State> {
    if let Some(state) = STATE.get() {
        return Ok(state);
    }
    // SAFETY: gives this thread a copy of its root, current directory and umask; descriptors stay shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }?;
    rustix::process::fchdir(proc_self_fd)?;
    rustix::process::umask(Mode::empty());
    let state = State {
        umask: 0,
        uid: current_id(libc::SYS_setfsuid)?,
        gid: current_id(libc::SYS_setfsgid)?,
        fsetid: capabilities(None)?.effective.contains(CapabilitySet::FSETID),
        fixup: !keep_capabilities(),
    };
    STATE.set(Some(state));
    Ok(state)
}

/// Keeps capabilities over changes of the file system uid; needs CAP_SETPCAP unless it is set already.
fn keep_capabilities() -> bool {
    // SAFETY: reads this thread's securebits.
    let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
    let Ok(bits) = libc::c_ulong::try_from(bits) else { return false };
    // SAFETY: sets this thread's securebits.
    bits & NO_SETUID_FIXUP != 0
        || unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits | NO_SETUID_FIXUP) } == 0
}

/// New inodes shall belong to this user and group and be made under this umask.
///
/// # Errors
/// `EINVAL` for the id -1, `EPERM` if this process may not take the id.
pub(super) fn own_as(proc_self_fd: BorrowedFd<'_>, uid: u32, gid: u32, umask: u32) -> FsResult<()> {
    let mut state = state(proc_self_fd)?;
    if uid == u32::MAX || gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    if state.gid != gid {
        set_id(libc::SYS_setfsgid, gid)?;
        state.gid = gid;
        STATE.set(Some(state));
    }
    if state.uid != uid {
        set_id(libc::SYS_setfsuid, uid)?;
        state.uid = uid;
        if state.fixup {
            restore_capabilities(state.fsetid)?;
        }
        STATE.set(Some(state));
    }
    if state.umask != umask {
        rustix::process::umask(Mode::from_raw_mode(umask & 0o777));
        state.umask = umask;
        STATE.set(Some(state));
    }
    Ok(())
}

/// Whether set-user-id and set-group-id bits survive what the thread does next.
///
/// # Errors
/// What capset(2) answers.
pub(super) fn keep_suidgid(proc_self_fd: BorrowedFd<'_>, keep: bool) -> FsResult<()> {
    let mut state = state(proc_self_fd)?;
    if state.fsetid == keep {
        return Ok(());
    }
    let mut sets = capabilities(None)?;
    if keep && !sets.permitted.contains(CapabilitySet::FSETID) {
        // Nothing keeps the bits then: the host's rule, and no failure.
        return Ok(());
    }
    sets.effective.set(CapabilitySet::FSETID, keep);
    set_capabilities(None, sets)?;
    state.fsetid = keep;
    STATE.set(Some(state));
    Ok(())
}

/// `setfsuid` and `setfsgid` report no errors: asks for the result.
fn set_id(call: libc::c_long, id: u32) -> FsResult<()> {
    // SAFETY: changes an id of this thread only; no memory is passed.
    let _ = unsafe { libc::syscall(call, id) };
    if current_id(call)? == id { Ok(()) } else { Err(Errno::PERM) }
}

fn current_id(call: libc::c_long) -> FsResult<u32> {
    // SAFETY: the id -1 is never valid, so this only reads.
    let id = unsafe { libc::syscall(call, u32::MAX) };
    u32::try_from(id).map_err(|_| Errno::PERM)
}

fn restore_capabilities(fsetid: bool) -> FsResult<()> {
    let mut sets = capabilities(None)?;
    sets.effective = sets.permitted;
    if !fsetid {
        sets.effective.remove(CapabilitySet::FSETID);
    }
    set_capabilities(None, sets)
}

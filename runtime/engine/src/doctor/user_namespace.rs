//! Whether user namespaces can be made. Nothing fails without them; the monitor's jail is stronger with them.

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::Finding;

const SUBJECT: &str = "user namespaces";
const REMEDY: &str = "not needed, but they strengthen the jail of --isolation=vm: sysctl -w user.max_user_namespaces=15000, \
                      and do not start sandbox in a chroot";

/// A child tries, because a process with threads cannot and ours must not change. Its exit code is the error's number.
pub(super) fn examine() -> Finding {
    // SAFETY: the child calls unshare and _exit only, which are async-signal-safe.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            // SAFETY: a system call without pointers, in a process of its own.
            let result = unsafe { libc::unshare(libc::CLONE_NEWUSER) };
            let code = if result == 0 { 0 } else { Errno::last_raw() };
            // SAFETY: ends the child at once, without running anything of the parent's.
            unsafe { libc::_exit(code) }
        }
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => Finding::ok(SUBJECT, "can be made"),
            Ok(WaitStatus::Exited(_, number)) => {
                Finding::warn(SUBJECT, format!("cannot be made: {}", Errno::from_raw(number).desc()), REMEDY)
            }
            other => Finding::warn(SUBJECT, format!("could not be tried: {other:?}"), REMEDY),
        },
        Err(e) => Finding::warn(SUBJECT, format!("could not be tried: fork: {e}"), REMEDY),
    }
}

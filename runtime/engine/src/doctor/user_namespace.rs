//! Whether user namespaces can be made, which jail the monitor.

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::Finding;

const SUBJECT: &str = "user namespaces";
const REMEDY: &str =
    "sysctl -w user.max_user_namespaces=15000, and kernel.unprivileged_userns_clone=1 where there is one";

/// A child tries, because a process with threads cannot and ours must not change.
pub(super) fn examine() -> Finding {
    // SAFETY: the child calls unshare and _exit only, which are async-signal-safe.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            // SAFETY: a system call without pointers, in a process of its own.
            let result = unsafe { libc::unshare(libc::CLONE_NEWUSER) };
            // SAFETY: ends the child at once, without running anything of the parent's.
            unsafe { libc::_exit(i32::from(result != 0)) }
        }
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => Finding::ok(SUBJECT, "can be made"),
            _ => Finding::fail(SUBJECT, "cannot be made", REMEDY),
        },
        Err(e) => Finding::warn(SUBJECT, format!("could not be tried: fork: {e}"), REMEDY),
    }
}

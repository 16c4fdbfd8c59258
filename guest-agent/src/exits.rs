//! Ends of processes: those that were asked for are reported, strays are reaped.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

use crate::containers::Containers;
use crate::fatal;

/// Reports the end of a process to the host as soon as `pidfd` says so.
///
/// # Errors
/// Of duplicating the descriptor and registering it with the event loop.
pub(crate) fn watch(
    containers: &Rc<Containers>,
    container: String,
    exec: String,
    pidfd: BorrowedFd<'_>,
) -> io::Result<()> {
    let pidfd: OwnedFd = pidfd.try_clone_to_owned()?;
    // SAFETY: an `OwnedFd` keeps its descriptor open until it is dropped, and nothing replaces it in there.
    let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
    let containers = Rc::clone(containers);
    tokio::task::spawn_local(async move {
        if pidfd.readable().await.is_ok()
            && let Some(event) = containers.ended(&container, &exec)
        {
            sweep(&containers);
            containers.tell(event).await;
        }
    });
    Ok(())
}

/// Reaps what falls to PID 1 for no request's sake: orphans of the core's helpers.
pub(crate) async fn reap_strays(containers: Rc<Containers>) {
    let mut children = match signal(SignalKind::child()) {
        Ok(children) => children,
        Err(error) => fatal::end(&format!("watch for ends of children: {error}")),
    };
    while children.recv().await.is_some() {
        sweep(&containers);
    }
}

/// A child with an owner stops the sweep, because it hides those behind it; its owner sweeps again.
fn sweep(containers: &Containers) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = waitid(Id::All, peek) {
        if containers.owns(pid.as_raw()) {
            return;
        }
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    }
}

//! Starts the monitor's threads, each confined to what its kind needs.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use crate::{jail, seccomp};

/// One seccomp filter each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadKind {
    Vcpu,
    Fs,
    Vsock,
    Net,
    Block,
    Rng,
    Balloon,
}

/// Whether threads confine themselves; off in a monitor that runs with its caller's privileges.
static CONFINE: AtomicBool = AtomicBool::new(false);

/// From now on every new thread is confined. The jail calls this once.
pub(crate) fn confine_new_threads() {
    CONFINE.store(true, Ordering::SeqCst);
}

/// Whether [`confine_new_threads`] was called.
pub(crate) fn confined() -> bool {
    CONFINE.load(Ordering::SeqCst)
}

/// Spawns a worker thread of the given kind.
///
/// In a jailed monitor it runs with the capabilities and the seccomp filter of its kind from its first
/// instruction on; if those cannot be had the process aborts.
///
/// # Errors
/// If the kernel has no room for another thread.
pub fn spawn<F>(kind: ThreadKind, name: &str, run: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(move || {
        if confined() {
            jail::privileges::enter(kind);
            seccomp::enter(seccomp::Filter::Thread(kind));
        }
        run();
    })
}

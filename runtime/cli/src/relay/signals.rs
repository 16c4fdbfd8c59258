//! Signals as something to read: all that Docker proxies, through one signalfd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Not proxied: what cannot be caught, what is about ourselves, and faults of our own.
const NOT_OURS: [Signal; 11] = [
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGCHLD,
    Signal::SIGPIPE,
    Signal::SIGURG,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGABRT,
];

/// The signals are blocked as long as this lives.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    before: SigSet,
}

/// One that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    WindowChange,
    Other(i32),
}

impl Signals {
    /// From here on they are read instead of acted upon.
    pub(crate) fn catch() -> io::Result<Signals> {
        let mut set = SigSet::all();
        for signal in NOT_OURS {
            set.remove(signal);
        }
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut before))?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Signals { fd, before })
    }

    /// The next one that is waiting.
    pub(crate) fn next(&self) -> io::Result<Option<Caught>> {
        let info = self.fd.read_signal()?;
        Ok(info.map(|info| match info.ssi_signo as i32 {
            libc::SIGWINCH => Caught::WindowChange,
            signal => Caught::Other(signal),
        }))
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // It was the mask before, so it is a valid one.
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

/// Whether its default is the end of a process, for when it is not proxied.
pub(crate) fn ends_a_process(signal: i32) -> bool {
    !matches!(
        signal,
        libc::SIGCONT
            | libc::SIGTSTP
            | libc::SIGTTIN
            | libc::SIGTTOU
            | libc::SIGWINCH
            | libc::SIGCHLD
            | libc::SIGURG
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caught_and_not_acted_upon() {
        // raise(3) signals our own thread only, so that the other tests do not see it.
        let signals = Signals::catch().unwrap();
        assert_eq!(signals.next().unwrap(), None);
        nix::sys::signal::raise(Signal::SIGTERM).unwrap();
        nix::sys::signal::raise(Signal::SIGWINCH).unwrap();
        let mut got = vec![signals.next().unwrap().unwrap(), signals.next().unwrap().unwrap()];
        got.sort_by_key(|c| *c == Caught::WindowChange);
        assert_eq!(got, [Caught::Other(libc::SIGTERM), Caught::WindowChange]);
    }

    #[test]
    fn which_end_a_process() {
        assert!(ends_a_process(libc::SIGINT) && ends_a_process(libc::SIGUSR1));
        assert!(!ends_a_process(libc::SIGTSTP) && !ends_a_process(libc::SIGCONT));
    }
}

//! Ctrl-C and its kind while a command works for long: the command ends at once with 128 and the signal, and the terminal
//! is as it was. Nothing else needs to be undone, for all we keep on disk may be left at any moment.

use std::io::{self, PipeWriter, Write};
use std::thread::JoinHandle;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use crate::failure::Failure;
use crate::relay::terminal;

/// As long as this lives, signals end the command in our way.
#[derive(Debug)]
pub(crate) struct Interrupt {
    before: SigSet,
    /// Closing it ends the watcher.
    running: Option<PipeWriter>,
    watcher: Option<JoinHandle<()>>,
}

impl Interrupt {
    /// Must come before other threads are made: they inherit that these signals are the watcher's.
    pub(crate) fn watch() -> Result<Interrupt, Failure> {
        watch().map_err(|error| Failure::plain(format!("watch for signals: {error}")))
    }
}

fn watch() -> io::Result<Interrupt> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ours = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let set: SigSet = ours.into_iter().filter(|signal| !is_ignored(&status, *signal)).collect();
    let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
    let (ended, running) = io::pipe()?;
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut before))?;
    let watcher = std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        let mut waiting = [PollFd::new(&fd, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
        while poll(&mut waiting, None) == Err(rustix::io::Errno::INTR) {}
        if let Ok(Some(info)) =
            readable(&waiting[0]).then(|| fd.read_signal()).transpose().map(Option::flatten)
        {
            end(info.ssi_signo);
        }
    })?;
    Ok(Interrupt { before, running: Some(running), watcher: Some(watcher) })
}

/// Who starts us with a signal ignored (nohup, a shell's background job) wants it to stay so; a blocked one would reach us.
fn is_ignored(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal as i32 - 1) & 1 == 1
}

fn readable(fd: &PollFd<'_>) -> bool {
    fd.revents().contains(PollFlags::IN)
}

fn end(signal: u32) -> ! {
    terminal::restore();
    if rustix::termios::isatty(rustix::stdio::stderr()) {
        // The shell's prompt begins a line, behind the terminal's own `^C`.
        let _ = io::stderr().write_all(b"\n");
    }
    std::process::exit(128 + i32::try_from(signal).unwrap_or(0));
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(watcher) = self.watcher.take() {
            // It does not panic.
            let _ = watcher.join();
        }
        // It was the mask before, so it is a valid one.
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_stays_ignored() {
        // SIGHUP is 1 and SIGINT 2, so bits 0 and 1.
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000000001\n";
        assert!(is_ignored(status, Signal::SIGHUP));
        assert!(!is_ignored(status, Signal::SIGINT) && !is_ignored("", Signal::SIGHUP));
    }
}

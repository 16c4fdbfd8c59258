//! A process in a container that we are the parent of: the init itself or one made by exec.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::error::{Context, Error};
use crate::status::ExitStatus;

/// A child in the container. Dropping it does not kill it.
#[derive(Debug)]
pub struct Process {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    pub(crate) terminal: Option<OwnedFd>,
}

impl Process {
    /// Its PID in our namespace.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Readable once the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The master of its terminal; can be taken once. Resize it with TIOCSWINSZ
    /// (`rustix::termios::tcsetwinsize`).
    pub fn terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Sends a signal, race-free. A process that is gone is not an error.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno).context(|| format!("signal process {}", self.pid.as_raw_nonzero())),
        }
    }

    /// Waits for its end and reaps it.
    pub fn wait(&self) -> Result<ExitStatus, Error> {
        loop {
            if let Some(status) = self.waitid(WaitIdOptions::EXITED)? {
                return Ok(status);
            }
        }
    }

    /// Reaps it if it has ended; for event loops that poll [`Process::pidfd`].
    pub fn try_wait(&self) -> Result<Option<ExitStatus>, Error> {
        self.waitid(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    fn waitid(&self, options: WaitIdOptions) -> Result<Option<ExitStatus>, Error> {
        let status =
            rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options))
                .context(|| format!("wait for process {}", self.pid.as_raw_nonzero()))?;
        Ok(status.and_then(|status| {
            let code = status.exit_status().map(ExitStatus::Code);
            code.or_else(|| status.terminating_signal().map(ExitStatus::Signal))
        }))
    }
}

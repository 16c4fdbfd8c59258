//! A person at a terminal: a pseudo-terminal whose slave is the command's controlling terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};

/// The person's side.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    slave: File,
    child: Child,
    before: Termios,
    seen: String,
}

/// Makes stdin the controlling terminal of a new session.
fn take_controlling_terminal() -> std::io::Result<()> {
    nix::unistd::setsid()?;
    // SAFETY: TIOCSCTTY takes an integer and touches no memory of ours.
    if unsafe { nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

nix::ioctl_write_ptr_bad!(set_size, nix::libc::TIOCSWINSZ, Winsize);

impl Terminal {
    /// Starts the command on a new terminal of the given size.
    pub fn start(mut command: Command, rows: u16, cols: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).expect("openpty");
        let stdio = || Stdio::from(slave.try_clone().expect("dup"));
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        // SAFETY: setsid and ioctl, all that it calls, are async-signal-safe.
        unsafe { command.pre_exec(take_controlling_terminal) };
        let before = tcgetattr(&slave).expect("tcgetattr");
        let child = command.spawn().expect("sandbox");
        Self { master: master.into(), slave: slave.into(), child, before, seen: String::new() }
    }

    /// Types.
    pub fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("type");
    }

    /// Drags the window's corner.
    pub fn resize(&self, rows: u16, cols: u16) {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the fd is a terminal and `size` outlives the call.
        unsafe { set_size(self.master.as_raw_fd(), &raw const size) }.expect("TIOCSWINSZ");
    }

    /// Reads until `text` has been on the screen since the last call; panics with what was seen after `limit`.
    #[track_caller]
    pub fn expect(&mut self, text: &str, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.seen.contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {text:?} within {limit:?}; seen: {:?}", self.seen);
            self.read_some(left);
        }
        let end = self.seen.find(text).map_or(0, |at| at + text.len());
        self.seen.drain(..end);
    }

    /// Waits for the command's end: its exit code, and whether the terminal's modes are as they were.
    pub fn finish(mut self, limit: Duration) -> (i32, bool) {
        let end = Instant::now() + limit;
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < end, "the command did not end; seen: {:?}", self.seen);
            self.read_some(Duration::from_millis(100));
        };
        let after = tcgetattr(&self.slave).expect("tcgetattr");
        (code, after == self.before)
    }

    fn read_some(&mut self, limit: Duration) {
        let millis = u16::try_from(limit.as_millis().min(1000)).unwrap_or(1000);
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(millis)).unwrap_or(0) > 0 {
            let mut buffer = [0; 4096];
            let n = self.master.read(&mut buffer).unwrap_or(0);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    }
}

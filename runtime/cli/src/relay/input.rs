//! Our stdin for the container: read when it polls readable, as much as the supervisor's window takes.

use std::os::fd::BorrowedFd;

use super::detach::{DetachKeys, Watch};
use super::protocol::Outgoing;

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Input {
    fd: BorrowedFd<'static>,
    buffer: Vec<u8>,
    open: bool,
    keys: Option<Watch>,
}

impl Input {
    /// With `keys`, they end it.
    pub(super) fn open(fd: BorrowedFd<'static>, keys: Option<DetachKeys>) -> Input {
        Input { fd, buffer: vec![0; CHUNK], open: true, keys: keys.map(Watch::new) }
    }

    /// Without `-i`: stdin is not ours to read, somebody after us may want it.
    pub(super) fn closed(fd: BorrowedFd<'static>) -> Input {
        Input { fd, buffer: Vec::new(), open: false, keys: None }
    }

    /// What to poll, as long as there is something to come.
    pub(super) fn wanted(&self) -> Option<BorrowedFd<'static>> {
        self.open.then_some(self.fd)
    }

    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Reads once; the end of the file is passed on, and so is an error, which nobody could do anything about. True when the
    /// detach keys were typed.
    pub(super) fn read(&mut self, outgoing: &mut Outgoing) -> bool {
        let room = self.buffer.len().min(outgoing.window());
        match rustix::io::read(self.fd, &mut self.buffer[..room]) {
            Ok(count) if count > 0 => {
                let Some(keys) = &mut self.keys else {
                    outgoing.stdin(&self.buffer[..count]);
                    return false;
                };
                let (passed, detached) = keys.filter(&self.buffer[..count]);
                if !passed.is_empty() {
                    outgoing.stdin(&passed);
                }
                self.open = !detached;
                return detached;
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Ok(_) | Err(_) => {
                self.open = false;
                outgoing.stdin_end();
            }
        }
        false
    }
}

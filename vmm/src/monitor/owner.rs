//! The control socket: whoever started the monitor, at the other end of fd 3.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::net::{RecvFlags, SendFlags};

use crate::config::VmConfig;
use crate::control::{Command, Event, ExitReason, MAX_PACKET};

/// Where the owner's socket is when the monitor starts.
pub const CONTROL_FD: RawFd = 3;

/// From now on a panic is an event for the owner too, whichever thread it is in. Call after [`Owner::inherited`].
pub fn report_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        let event = Event::Exited {
            reason: ExitReason::Error(format!("internal error: {info}")),
            console_tail: String::new(),
        };
        if let Ok(bytes) = serde_json::to_vec(&event) {
            // SAFETY: the owner's socket stays open until the process ends.
            let owner = unsafe { BorrowedFd::borrow_raw(CONTROL_FD) };
            // write(2) is what every thread's filter allows.
            let _ = rustix::io::write(owner, &bytes);
        }
    }));
}

/// The owner, which is trusted: it could start any machine.
#[derive(Debug)]
pub struct Owner(OwnedFd);

impl AsRawFd for Owner {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<OwnedFd> for Owner {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl Owner {
    /// Takes [`CONTROL_FD`].
    ///
    /// # Errors
    /// If it is not open, or not a socket.
    ///
    /// # Safety
    /// Nothing else in the process may own that file: call once, first thing in main.
    pub unsafe fn inherited() -> io::Result<Self> {
        // SAFETY: fcntl on a number that may not be open is harmless.
        if unsafe { libc::fcntl(CONTROL_FD, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open, and by this function's contract nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(CONTROL_FD) };
        rustix::net::sockopt::socket_type(&socket)?;
        Ok(Self(socket))
    }

    /// Waits for the first packet.
    ///
    /// # Errors
    /// If the owner is gone, or the packet is not a configuration.
    pub fn receive_config(&self) -> io::Result<VmConfig> {
        self.packet()?.map_or_else(
            || Err(io::ErrorKind::UnexpectedEof.into()),
            |bytes| Ok(serde_json::from_slice(&bytes)?),
        )
    }

    /// The next command; `None` at the end of file.
    ///
    /// # Errors
    /// If the packet is not a command.
    pub fn receive(&self) -> io::Result<Option<Command>> {
        self.packet()?.map(|bytes| Ok(serde_json::from_slice(&bytes)?)).transpose()
    }

    /// Sends an event if the owner is there and reads; a full socket does not stop the monitor.
    pub fn send(&self, event: &Event) {
        if let Ok(bytes) = serde_json::to_vec(event) {
            let _ = rustix::net::send(&self.0, &bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        }
    }

    fn packet(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![MaybeUninit::uninit(); MAX_PACKET];
        loop {
            match rustix::net::recv(&self.0, buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok(((_, _), 0)) | Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                Ok((_, len)) if len > MAX_PACKET => return Err(io::Error::other("packet too long")),
                Ok(((bytes, _), _)) => return Ok(Some(bytes.to_vec())),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

//! The client's side of a connection to the supervisor: what the command uses. Blocking, for threads.
//!
//! [`connect`] splits a connection in two: a [`Sender`] for any number of threads (stdin, signals, resizes) and
//! a [`Receiver`] for one. The window of [`crate::wire`] is kept here: [`Sender::stdin`] waits until the
//! container has taken enough of what was sent before, while requests pass.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

pub use crate::frame::FrameError;
use crate::frame::{read_blocking, write_blocking};
use crate::wire::{self, Notice, Request, STDIN_WINDOW};

/// Bytes of stdin in one frame: small enough that a request behind it does not wait long.
const CHUNK: usize = 64 << 10;

/// What the supervisor sent.
#[derive(Debug)]
pub enum Event<'a> {
    /// Bytes of stdout or the terminal; empty at its end.
    Stdout(&'a [u8]),
    /// Bytes of stderr; empty at its end.
    Stderr(&'a [u8]),
    Notice(Notice),
}

#[derive(Debug)]
struct Shared {
    writer: Mutex<UnixStream>,
    window: Mutex<Window>,
    changed: Condvar,
}

#[derive(Debug)]
struct Window {
    left: usize,
    closed: bool,
}

/// Sends to the supervisor.
#[derive(Debug, Clone)]
pub struct Sender(Arc<Shared>);

/// Receives from the supervisor.
#[derive(Debug)]
pub struct Receiver {
    reader: UnixStream,
    payload: Vec<u8>,
    shared: Arc<Shared>,
}

/// Takes over a connection to the supervisor.
///
/// # Errors
/// Of duplicating the descriptor.
pub fn connect(stream: UnixStream) -> io::Result<(Sender, Receiver)> {
    let reader = stream.try_clone()?;
    let shared = Arc::new(Shared {
        writer: Mutex::new(stream),
        window: Mutex::new(Window { left: STDIN_WINDOW, closed: false }),
        changed: Condvar::new(),
    });
    Ok((Sender(Arc::clone(&shared)), Receiver { reader, payload: Vec::new(), shared }))
}

/// Says what a connection is for, before somebody else takes it over.
///
/// # Errors
/// Of writing.
pub fn write_request(to: &mut UnixStream, request: &Request) -> Result<(), FrameError> {
    let payload = serde_json::to_vec(request)?;
    write_blocking(to, wire::REQUEST, &payload)
}

/// Asks for a descriptor and waits for it. The inner error is why the supervisor does not give it.
///
/// # Errors
/// Of sending and receiving, and `InvalidData` for an answer without one.
pub fn request_fd(
    connection: &mut UnixStream,
    request: &Request,
) -> Result<Result<OwnedFd, String>, FrameError> {
    write_request(connection, request)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut head = [0; wire::HEADER];
    // The descriptor comes with the first byte.
    let received = rustix::io::retry_on_intr(|| {
        let parts = &mut [io::IoSliceMut::new(&mut head[..1])];
        rustix::net::recvmsg(&*connection, parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })
    .map_err(io::Error::from)?;
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    if received.bytes == 0 {
        return Err(FrameError::Truncated);
    }
    connection.read_exact(&mut head[1..])?;
    let mut payload = Vec::new();
    let mut frame = head.chain(&mut *connection);
    read_blocking(&mut frame, &mut payload)?;
    match (serde_json::from_slice(&payload)?, fd) {
        (Notice::Done, Some(fd)) => Ok(Ok(fd)),
        (Notice::Failed { message, .. }, _) => Ok(Err(message)),
        _ => {
            Err(FrameError::Io(io::Error::new(io::ErrorKind::InvalidData, "an answer without a descriptor")))
        }
    }
}

/// The data behind these locks is whole at every instruction, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    /// Sends bytes for the container's stdin, waiting while the window is full.
    ///
    /// # Errors
    /// `BrokenPipe` when the connection is over, and whatever writing gives.
    pub fn stdin(&self, mut bytes: &[u8]) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let mut window = lock(&self.0.window);
            while window.left == 0 && !window.closed {
                window = self.0.changed.wait(window).unwrap_or_else(PoisonError::into_inner);
            }
            if window.closed {
                return Err(FrameError::Io(io::ErrorKind::BrokenPipe.into()));
            }
            let (now, later) = bytes.split_at(bytes.len().min(window.left).min(CHUNK));
            window.left -= now.len();
            drop(window);
            write_blocking(&mut *lock(&self.0.writer), wire::STDIN, now)?;
            bytes = later;
        }
        Ok(())
    }

    /// End of the container's stdin.
    ///
    /// # Errors
    /// Of writing.
    pub fn close_stdin(&self) -> Result<(), FrameError> {
        write_blocking(&mut *lock(&self.0.writer), wire::STDIN, &[])
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Of writing.
    pub fn request(&self, request: &Request) -> Result<(), FrameError> {
        let payload = serde_json::to_vec(request)?;
        write_blocking(&mut *lock(&self.0.writer), wire::REQUEST, &payload)
    }
}

impl Receiver {
    /// The next thing that the supervisor has to say; `None` when it is gone. Credit is taken care of on the way.
    ///
    /// # Errors
    /// Every [`FrameError`] but [`FrameError::Window`].
    pub fn receive(&mut self) -> Result<Option<Event<'_>>, FrameError> {
        loop {
            let kind = match read_blocking(&mut self.reader, &mut self.payload) {
                // What a supervisor leaves behind that ends before it has read everything that was sent to it.
                Err(FrameError::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => None,
                result => result?,
            };
            let Some(kind) = kind else {
                self.close();
                return Ok(None);
            };
            match kind {
                wire::STDIN_CREDIT => self.credit(),
                wire::STDOUT => return Ok(Some(Event::Stdout(&self.payload))),
                wire::STDERR => return Ok(Some(Event::Stderr(&self.payload))),
                wire::NOTICE => return Ok(Some(Event::Notice(serde_json::from_slice(&self.payload)?))),
                kind => return Err(FrameError::UnknownKind(kind)),
            }
        }
    }

    fn credit(&self) {
        let Ok(bytes) = <[u8; 4]>::try_from(self.payload.as_slice()) else { return };
        let mut window = lock(&self.shared.window);
        window.left = window.left.saturating_add(u32::from_le_bytes(bytes) as usize).min(STDIN_WINDOW);
        self.shared.changed.notify_all();
    }

    fn close(&self) {
        lock(&self.shared.window).closed = true;
        self.shared.changed.notify_all();
    }
}

/// A thread that waits for the window must not wait for ever for a receiver that is gone.
impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Exit;

    #[test]
    fn stdin_waits_for_credit_while_requests_pass() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (sender, mut receiver) = connect(ours).unwrap();
        let input = vec![7; STDIN_WINDOW + 1000];
        let writer = {
            let sender = sender.clone();
            std::thread::spawn(move || sender.stdin(&input))
        };
        let mut payload = Vec::new();
        let mut got = 0;
        while got < STDIN_WINDOW {
            assert_eq!(read_blocking(&mut theirs, &mut payload).unwrap(), Some(wire::STDIN));
            got += payload.len();
        }
        assert_eq!(got, STDIN_WINDOW);
        sender.request(&Request::Signal { signal: 2 }).unwrap();
        assert_eq!(read_blocking(&mut theirs, &mut payload).unwrap(), Some(wire::REQUEST));
        assert_eq!(payload, br#"{"op":"signal","signal":2}"#);

        write_blocking(&mut theirs, wire::STDIN_CREDIT, &5000_u32.to_le_bytes()).unwrap();
        write_blocking(&mut theirs, wire::STDERR, b"oops").unwrap();
        assert!(matches!(receiver.receive().unwrap(), Some(Event::Stderr(b"oops"))));
        assert_eq!(read_blocking(&mut theirs, &mut payload).unwrap(), Some(wire::STDIN));
        assert_eq!(payload.len(), 1000);
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn the_end_of_the_supervisor_releases_a_waiting_writer() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (sender, mut receiver) = connect(ours).unwrap();
        let writer = std::thread::spawn(move || sender.stdin(&vec![0; 2 * STDIN_WINDOW]));
        let mut payload = Vec::new();
        for _ in 0..STDIN_WINDOW / CHUNK {
            read_blocking(&mut theirs, &mut payload).unwrap();
        }
        let exit = Exit { code: 137, oom_killed: true, error: None };
        let notice = serde_json::to_vec(&Notice::Exited(exit)).unwrap();
        write_blocking(&mut theirs, wire::NOTICE, &notice).unwrap();
        drop(theirs);
        assert!(
            matches!(receiver.receive().unwrap(), Some(Event::Notice(Notice::Exited(e))) if e.code == 137)
        );
        assert!(receiver.receive().unwrap().is_none());
        assert!(writer.join().unwrap().is_err());
    }
}

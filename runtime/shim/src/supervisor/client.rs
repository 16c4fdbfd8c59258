//! One client's connection, on the supervisor's side.
//!
//! It is always read, so that the client's end and its requests are noticed whatever the container does; stdin
//! is bounded by its window. A client that breaks the protocol is treated as one that has gone.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use sandbox_protocol::FdStream;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::time::timeout;

use crate::frame::{self, FrameError};
use crate::wire::{self, HEADER, Notice, Request, STDIN_WINDOW};

/// Requests that wait to be done; when it is full, the client waits.
const QUEUE: usize = 16;

/// What a client wants.
#[derive(Debug)]
pub(crate) enum Event {
    Request(Request),
    /// One that this version does not know.
    Unknown(String),
    /// It closed the connection, or has lost the right to it.
    Gone,
}

/// A connection in parts that different tasks use.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) stdin: Rc<Stdin>,
    pub(crate) writer: Rc<Writer>,
}

impl Client {
    /// Starts to read `connection`; without one, the client is gone already. One that takes nothing for `patience` while
    /// there is something for it is disconnected.
    pub(crate) fn new(connection: Option<FdStream>, patience: Option<Duration>) -> Self {
        let (sender, events) = mpsc::channel(QUEUE);
        let stdin = Rc::new(Stdin::default());
        let writer = Rc::new(Writer {
            socket: connection.clone(),
            stream: Mutex::new(connection.clone()),
            patience: Cell::new(patience),
        });
        let queue = Rc::clone(&stdin);
        tokio::task::spawn_local(async move {
            if let Some(connection) = connection {
                // A client that breaks the protocol is not told how: it is not ours, or broken.
                let _ = serve(connection, &queue, &sender).await;
            }
            // A receiver that is gone is not interested any more.
            let _ = sender.send(Event::Gone).await;
        });
        Self { events, stdin, writer }
    }
}

async fn serve(connection: FdStream, stdin: &Stdin, events: &mpsc::Sender<Event>) -> Result<(), FrameError> {
    let mut from = BufReader::with_capacity(64 << 10, connection);
    let mut payload = Vec::new();
    while let Some(kind) = frame::read(&mut from, &mut payload).await? {
        match kind {
            wire::STDIN => stdin.push(&payload)?,
            wire::REQUEST => {
                let event = match serde_json::from_slice(&payload) {
                    Ok(request) => Event::Request(request),
                    // Well-formed, but from another version.
                    Err(error) if error.is_data() => Event::Unknown(error.to_string()),
                    Err(error) => return Err(error.into()),
                };
                if events.send(event).await.is_err() {
                    return Ok(());
                }
            }
            kind => return Err(FrameError::UnknownKind(kind)),
        }
    }
    Ok(())
}

/// Sends frames; when the client is gone, they go nowhere.
#[derive(Debug)]
pub(crate) struct Writer {
    /// For closing it while somebody sends.
    socket: Option<FdStream>,
    stream: Mutex<Option<FdStream>>,
    patience: Cell<Option<Duration>>,
}

impl Writer {
    /// Sends a whole frame, header included, waiting for a client that does not read; false when it is gone.
    pub(crate) async fn send(&self, frame: &[u8]) -> bool {
        let mut stream = self.stream.lock().await;
        let Some(open) = stream.as_mut() else { return false };
        let mut rest = frame;
        while !rest.is_empty() {
            let write = open.write(rest);
            let wrote = match self.patience.get() {
                None => write.await,
                Some(patience) => timeout(patience, write).await.unwrap_or_else(|late| Err(late.into())),
            };
            if let Ok(count @ 1..) = wrote {
                rest = &rest[count..];
            } else {
                // A frame that was begun cannot be given up without the connection.
                *stream = None;
                self.close();
                return false;
            }
        }
        true
    }

    /// From now on it may take its time: nobody else waits for it.
    pub(crate) fn be_patient(&self) {
        self.patience.set(None);
    }

    /// Ends the connection in both directions.
    pub(crate) fn close(&self) {
        if let Some(socket) = &self.socket {
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        }
    }

    /// Sends a notice; false when the client is gone.
    pub(crate) async fn notify(&self, notice: &Notice) -> bool {
        match serde_json::to_vec(notice) {
            Ok(payload) => self.frame(wire::NOTICE, &payload).await,
            Err(_) => false,
        }
    }

    /// Sends a notice with a descriptor.
    pub(crate) async fn notify_with(&self, notice: &Notice, fd: &OwnedFd) -> io::Result<()> {
        let payload = serde_json::to_vec(notice)?;
        let header = frame::header(wire::NOTICE, payload.len()).map_err(io::Error::other)?;
        let frame = [&header[..], &payload].concat();
        // Nobody else writes in between, and so little is taken at once or not at all.
        let stream = self.stream.lock().await;
        let Some(stream) = stream.as_ref() else { return Err(io::ErrorKind::NotConnected.into()) };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [fd.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let sent = rustix::net::sendmsg(
            stream,
            &[io::IoSlice::new(&frame)],
            &mut control,
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        )?;
        if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    async fn frame(&self, kind: u8, payload: &[u8]) -> bool {
        match frame::header(kind, payload.len()) {
            Ok(header) => self.send(&[&header, payload].concat()).await,
            Err(_) => false,
        }
    }

    /// Gives back `bytes` of the window of stdin.
    pub(crate) async fn credit(&self, bytes: usize) {
        self.frame(wire::STDIN_CREDIT, &(bytes as u32).to_le_bytes()).await;
    }
}

/// Room for the header of a data frame in front of its bytes.
pub(crate) fn data_frame(kind: u8, buffer: &mut [u8], length: usize) -> &[u8] {
    if let (Ok(header), Some(room)) = (frame::header(kind, length), buffer.get_mut(..HEADER)) {
        room.copy_from_slice(&header);
    }
    buffer.get(..HEADER + length).unwrap_or_default()
}

/// Input that the container has not taken yet: at most [`STDIN_WINDOW`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Stdin {
    state: RefCell<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: BytesMut,
    /// Bytes that were not given back: those in `bytes` and those being written.
    outstanding: usize,
    ended: bool,
}

impl Stdin {
    /// Adds what a client sent; nothing is its end of file.
    ///
    /// # Errors
    /// [`FrameError::Window`] when the client sent more than it may.
    pub(crate) fn push(&self, bytes: &[u8]) -> Result<(), FrameError> {
        let mut state = self.state.borrow_mut();
        if bytes.is_empty() {
            state.ended = true;
        } else if !state.ended {
            state.outstanding += bytes.len();
            if state.outstanding > STDIN_WINDOW {
                return Err(FrameError::Window);
            }
            state.bytes.extend_from_slice(bytes);
        }
        self.changed.notify_one();
        Ok(())
    }

    /// No more input will come.
    pub(crate) fn end(&self) {
        self.state.borrow_mut().ended = true;
        self.changed.notify_one();
    }

    /// Takes all there is, waiting for some; `None` at the end.
    pub(crate) async fn take(&self) -> Option<BytesMut> {
        loop {
            {
                let mut state = self.state.borrow_mut();
                if !state.bytes.is_empty() {
                    return Some(state.bytes.split());
                }
                if state.ended {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// The container has taken `bytes`.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut state = self.state.borrow_mut();
        state.outstanding = state.outstanding.saturating_sub(bytes);
    }
}

//! One client's connection, on the supervisor's side.
//!
//! It is always read, so that the client's end and its requests are noticed whatever the container does; stdin
//! is bounded by its window. A client that breaks the protocol is treated as one that has gone.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::BytesMut;
use sandbox_protocol::FdStream;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, Notify, mpsc};

use crate::frame::{self, FrameError};
use crate::wire::{self, HEADER, Notice, Request, STDIN_WINDOW};

/// Requests that wait to be done; when it is full, the client waits.
const QUEUE: usize = 16;

/// What a client wants.
#[derive(Debug)]
pub enum Event {
    Request(Request),
    /// It closed the connection, or has lost the right to it.
    Gone,
}

/// A connection in parts that different tasks use.
#[derive(Debug)]
pub struct Client {
    pub events: mpsc::Receiver<Event>,
    pub stdin: Rc<Stdin>,
    pub writer: Rc<Writer>,
}

impl Client {
    /// Starts to read `connection`; without one, the client is gone already.
    pub fn new(connection: Option<FdStream>) -> Self {
        let (sender, events) = mpsc::channel(QUEUE);
        let stdin = Rc::new(Stdin::default());
        let writer = Rc::new(Writer(Mutex::new(connection.clone())));
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
                if events.send(Event::Request(serde_json::from_slice(&payload)?)).await.is_err() {
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
pub struct Writer(Mutex<Option<FdStream>>);

impl Writer {
    /// Sends a whole frame, header included, waiting for a client that does not read.
    pub async fn send(&self, frame: &[u8]) {
        let mut connection = self.0.lock().await;
        if let Some(stream) = connection.as_mut()
            && stream.write_all(frame).await.is_err()
        {
            *connection = None;
        }
    }

    /// Sends a notice.
    pub async fn notify(&self, notice: &Notice) {
        if let Ok(payload) = serde_json::to_vec(notice) {
            self.frame(wire::NOTICE, &payload).await;
        }
    }

    async fn frame(&self, kind: u8, payload: &[u8]) {
        if let Ok(header) = frame::header(kind, payload.len()) {
            self.send(&[&header, payload].concat()).await;
        }
    }

    /// Gives back `bytes` of the window of stdin.
    pub async fn credit(&self, bytes: usize) {
        self.frame(wire::STDIN_CREDIT, &(bytes as u32).to_le_bytes()).await;
    }
}

/// Room for the header of a data frame in front of its bytes.
pub fn data_frame(kind: u8, buffer: &mut [u8], length: usize) -> &[u8] {
    if let (Ok(header), Some(room)) = (frame::header(kind, length), buffer.get_mut(..HEADER)) {
        room.copy_from_slice(&header);
    }
    buffer.get(..HEADER + length).unwrap_or_default()
}

/// Input that the container has not taken yet: at most [`STDIN_WINDOW`] bytes.
#[derive(Debug, Default)]
pub struct Stdin {
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
    pub fn push(&self, bytes: &[u8]) -> Result<(), FrameError> {
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
    pub fn end(&self) {
        self.state.borrow_mut().ended = true;
        self.changed.notify_one();
    }

    /// Takes all there is, waiting for some; `None` at the end.
    pub async fn take(&self) -> Option<BytesMut> {
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
    pub fn give_back(&self, bytes: usize) {
        let mut state = self.state.borrow_mut();
        state.outstanding = state.outstanding.saturating_sub(bytes);
    }
}

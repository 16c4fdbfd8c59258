//! The agent in the guest, as its host sees it: requests with answers, and ends of processes.
//!
//! Nothing it says is trusted: frames are small, answers to what was not asked are ignored, and everything that
//! waits for it gives up after a time or with the microVM.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use sandbox_protocol::{
    Exited, FdStream, Hello, MAX_ANSWER, MAX_STREAM_HEADER, Message, Request, VERSION, frame, message,
    request,
};
use tokio::io::AsyncWrite;
use tokio::sync::{Mutex, oneshot};

use super::patience::Patience;
use super::printable::printable;
use crate::isolation::Failure;
use crate::wire::Exit;

/// How long an answer may take, at least. Requests that start a process read its files through the share.
const ANSWER: Duration = Duration::from_mins(1);

/// The control channel.
#[derive(Debug)]
pub(crate) struct Agent {
    writer: Mutex<FdStream>,
    /// Written by whoever sends next: a frame of which a part is out must not stay one, whoever has given up on it.
    unsent: RefCell<BytesMut>,
    shared: Rc<Shared>,
    next: Cell<u64>,
    patience: Patience,
}

#[derive(Debug, Default)]
struct Shared {
    answers: RefCell<HashMap<u64, oneshot::Sender<message::Body>>>,
    exits: RefCell<HashMap<String, oneshot::Sender<Exit>>>,
    lost: Cell<bool>,
}

/// A request that was sent.
#[derive(Debug)]
pub(crate) struct Pending {
    answer: oneshot::Receiver<message::Body>,
    patience: Patience,
}

impl Agent {
    /// Takes over the connection that the agent made; `lost` is called when it is of no use any more.
    pub(crate) fn new(connection: FdStream, patience: Patience, lost: impl FnOnce(String) + 'static) -> Self {
        let shared = Rc::new(Shared::default());
        let reader = connection.clone();
        let weak = Rc::downgrade(&shared);
        tokio::task::spawn_local(async move {
            let reason = listen(reader, |message| {
                let shared = weak.upgrade()?;
                shared.dispatch(message);
                Some(())
            })
            .await;
            if let Some(shared) = weak.upgrade() {
                shared.lost.set(true);
                shared.answers.borrow_mut().clear();
                lost(reason);
            }
        });
        Self {
            writer: Mutex::new(connection),
            unsent: RefCell::default(),
            shared,
            next: Cell::new(1),
            patience,
        }
    }

    /// Sends requests in one write, so that the guest need not wait between them.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn send<const N: usize>(
        &self,
        bodies: [request::Body; N],
    ) -> Result<[Pending; N], Failure> {
        let pending = self.send_all(bodies).await?;
        pending.try_into().map_err(|_| Failure::engine("send to the agent in the guest: lost a request"))
    }

    /// [`Agent::send`] for any number.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn send_all(
        &self,
        bodies: impl IntoIterator<Item = request::Body>,
    ) -> Result<Vec<Pending>, Failure> {
        let mut bytes = Vec::new();
        let mut encoded = Ok(());
        let pending = bodies.into_iter().map(|body| {
            let id = self.next.get();
            self.next.set(id + 1);
            let (sender, receiver) = oneshot::channel();
            self.shared.answers.borrow_mut().insert(id, sender);
            if let Err(error) = frame::encode(&Request { id, body: Some(body) }, &mut bytes) {
                encoded = Err(Failure::engine(format!("send to the agent in the guest: {error}")));
            }
            Pending { answer: receiver, patience: self.patience.clone() }
        });
        let pending = pending.collect();
        encoded?;
        self.unsent.borrow_mut().extend_from_slice(&bytes);
        match self.patience.wait(ANSWER, self.flush()).await {
            Ok(Ok(())) => Ok(pending),
            Ok(Err(error)) => Err(Failure::engine(format!("send to the agent in the guest: {error}"))),
            Err(_) => Err(Failure::engine("the agent in the guest does not read")),
        }
    }

    /// Cancel safe.
    async fn flush(&self) -> io::Result<()> {
        let mut writer = self.writer.lock().await;
        while !self.unsent.borrow().is_empty() {
            let written = poll_fn(|cx| Pin::new(&mut *writer).poll_write(cx, &self.unsent.borrow())).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.unsent.borrow_mut().advance(written);
        }
        // A container's specification is long, and what follows is not.
        self.unsent.take();
        Ok(())
    }

    /// Sends one request and waits for its answer. Cancel safe: the request is sent or not, as a whole.
    ///
    /// # Errors
    /// What the agent answered, or that it did not.
    pub(crate) async fn request(&self, body: request::Body) -> Result<message::Body, Failure> {
        let [pending] = self.send([body]).await?;
        pending.answer().await
    }

    /// Waits for the end of process `name` from now on; replaces an earlier wait.
    pub(crate) fn exited(&self, name: &str) -> oneshot::Receiver<Exit> {
        let (sender, receiver) = oneshot::channel();
        self.shared.exits.borrow_mut().insert(name.to_owned(), sender);
        receiver
    }

    /// Whether the connection is of no use any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.shared.lost.get()
    }

    /// Whether somebody waits for the end of process `name`.
    pub(crate) fn expects(&self, name: &str) -> bool {
        self.shared.exits.borrow().contains_key(name)
    }

    /// Nobody waits for the end of process `name` any more.
    pub(crate) fn forget(&self, name: &str) {
        self.shared.exits.borrow_mut().remove(name);
    }

    /// Ends every wait for a process with `exit`.
    pub(crate) fn end_all(&self, exit: &Exit) {
        self.shared.answers.borrow_mut().clear();
        for (_, sender) in self.shared.exits.borrow_mut().drain() {
            // A receiver that is gone does not want to know.
            let _ = sender.send(exit.clone());
        }
    }
}

impl Shared {
    fn dispatch(&self, message: Message) {
        match message.body {
            Some(message::Body::Exited(event)) => {
                let sender = self.exits.borrow_mut().remove(&event.exec);
                if let Some(sender) = sender {
                    let _ = sender.send(exit(&event));
                }
            }
            Some(body) => {
                let sender = self.answers.borrow_mut().remove(&message.id);
                if let Some(sender) = sender {
                    let _ = sender.send(body);
                }
            }
            None => {}
        }
    }
}

fn exit(event: &Exited) -> Exit {
    let code = u8::try_from(event.code).unwrap_or(sandbox_container::EXIT_ENGINE);
    Exit { code, oom_killed: event.oom_killed, error: None }
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// What the agent answered, or that it did not.
    pub(crate) async fn answer(self) -> Result<message::Body, Failure> {
        match self.patience.wait(ANSWER, self.answer).await {
            Ok(Ok(message::Body::Failed(failed))) => Err(Failure {
                message: printable(&failed.message),
                exit_code: match u8::try_from(failed.exit_code) {
                    Ok(code @ 125..=127) => code,
                    _ => sandbox_container::EXIT_ENGINE,
                },
            }),
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(Failure::engine("the agent in the guest is gone")),
            Err(_) => {
                let patience = self.patience.limit(ANSWER);
                Err(Failure::engine(format!("the agent in the guest did not answer for {patience:?}")))
            }
        }
    }
}

/// Hands on messages until the connection ends or `handle` has enough, and says why it did.
async fn listen(mut from: FdStream, mut handle: impl FnMut(Message) -> Option<()>) -> String {
    match frame::read::<Hello, _>(&mut from, MAX_STREAM_HEADER).await {
        Ok(Some(hello)) if hello.version == VERSION => {}
        Ok(Some(hello)) => {
            return format!("the agent speaks version {} of the protocol, not {VERSION}", hello.version);
        }
        Ok(None) => return "the agent closed the connection".into(),
        Err(error) => return format!("the agent's greeting: {error}"),
    }
    let mut from = tokio::io::BufReader::new(from);
    loop {
        match frame::read::<Message, _>(&mut from, MAX_ANSWER).await {
            Ok(Some(message)) => {
                if handle(message).is_none() {
                    return "nobody listens".into();
                }
            }
            Ok(None) => return "the agent closed the connection".into(),
            Err(error) => return format!("the agent's messages: {error}"),
        }
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;

//! The agent in the guest, as its host sees it: requests with answers, and ends of processes.
//!
//! Nothing it says is trusted: frames are small, answers to what was not asked are ignored, and everything that
//! waits for it gives up after a time or with the microVM.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use sandbox_protocol::{
    Exited, FdStream, Hello, MAX_ANSWER, MAX_STREAM_HEADER, Message, Request, VERSION, frame, message,
    request,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use super::printable::printable;
use crate::isolation::Failure;
use crate::wire::Exit;

/// How long an answer may take, at least. Requests that start a process read its files through the share.
const ANSWER: Duration = Duration::from_mins(1);

/// The control channel.
#[derive(Debug)]
pub(crate) struct Agent {
    writer: Mutex<FdStream>,
    shared: Rc<Shared>,
    next: Cell<u64>,
    patience: Duration,
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
    patience: Duration,
}

impl Agent {
    /// Takes over the connection that the agent made. `patience` is how long an answer may take besides what is usual;
    /// `lost` is called when the connection is of no use any more.
    pub(crate) fn new(connection: FdStream, patience: Duration, lost: impl FnOnce(String) + 'static) -> Self {
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
        let patience = ANSWER.max(patience);
        Self { writer: Mutex::new(connection), shared, next: Cell::new(1), patience }
    }

    /// Sends requests in one write, so that the guest need not wait between them.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn send<const N: usize>(
        &self,
        bodies: [request::Body; N],
    ) -> Result<[Pending; N], Failure> {
        let mut bytes = Vec::new();
        let mut encoded = Ok(());
        let pending = bodies.map(|body| {
            let id = self.next.get();
            self.next.set(id + 1);
            let (sender, receiver) = oneshot::channel();
            self.shared.answers.borrow_mut().insert(id, sender);
            if let Err(error) = frame::encode(&Request { id, body: Some(body) }, &mut bytes) {
                encoded = Err(Failure::engine(format!("send to the agent in the guest: {error}")));
            }
            Pending { answer: receiver, patience: self.patience }
        });
        encoded?;
        match timeout(self.patience, async { self.writer.lock().await.write_all(&bytes).await }).await {
            Ok(Ok(())) => Ok(pending),
            Ok(Err(error)) => Err(Failure::engine(format!("send to the agent in the guest: {error}"))),
            Err(_) => Err(Failure::engine("the agent in the guest does not read")),
        }
    }

    /// Sends one request and waits for its answer.
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
        match timeout(self.patience, self.answer).await {
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
                let patience = self.patience;
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

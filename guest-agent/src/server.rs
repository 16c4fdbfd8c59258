//! The control channel: requests in, answers in their order and events out.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::time::ClockId;
use sandbox_protocol::{
    CONTROL_PORT, Done, Failed, FdStream, Hello, MAX_FRAME, Message, Request, VERSION, frame, message,
    request,
};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::containers::Containers;
use crate::{exits, figures, setup, vsock};

/// Answers and events that wait for the host; when it does not read, requests wait too.
const QUEUE: usize = 64;
/// How often, and how far apart, a lost control channel is tried again before the guest gives up. A restored
/// guest finds its host at once.
const ATTEMPTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);
/// Longest error text in an answer, bytes; much less than the host takes.
const MAX_TEXT: usize = 16 << 10;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Exit code 125 and a text for the user.
    #[error("{0}")]
    Text(String),
    #[error("{0}")]
    Core(#[from] sandbox_container::Error),
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Serves the host for ever.
///
/// # Errors
/// When the control channel is lost and cannot be had again.
pub(crate) async fn run(control: OwnedFd) -> Result<Infallible, String> {
    let (events, mut outgoing) = mpsc::channel(QUEUE);
    let containers = Rc::new(Containers::new(events.clone()));
    tokio::task::spawn_local(exits::reap_strays(Rc::clone(&containers)));
    let mut control = established(control).await;
    loop {
        let error = match control {
            Ok(stream) => serve(&stream, &containers, &events, &mut outgoing).await,
            Err(error) => return Err(format!("connect to the host: {error}")),
        };
        control = reconnect()
            .await
            .map_err(|again| io::Error::new(again.kind(), format!("{again} (after: {error})")));
    }
}

async fn established(socket: OwnedFd) -> io::Result<FdStream> {
    let stream = FdStream::new(socket)?;
    stream.connected().await?;
    Ok(stream)
}

async fn reconnect() -> io::Result<FdStream> {
    let mut last = io::Error::from(io::ErrorKind::NotConnected);
    for _ in 0..ATTEMPTS {
        let socket = vsock::connect(CONTROL_PORT);
        match established(socket?).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(last)
}

/// Serves one connection until it ends, and says why it did.
async fn serve(
    stream: &FdStream,
    containers: &Rc<Containers>,
    answers: &mpsc::Sender<Message>,
    outgoing: &mut mpsc::Receiver<Message>,
) -> String {
    let requests = async {
        let mut from = BufReader::with_capacity(64 << 10, stream.clone());
        loop {
            match frame::read::<Request, _>(&mut from, MAX_FRAME).await {
                Ok(Some(request)) => {
                    // The receiver lives as long as this function.
                    let _ = answers.send(answer(containers, request)).await;
                }
                Ok(None) => return "the host closed the connection".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    };
    let writer = async {
        let mut to = stream.clone();
        if let Err(error) = frame::write(&mut to, &hello()).await {
            return error.to_string();
        }
        while let Some(message) = outgoing.recv().await {
            if let Err(error) = frame::write(&mut to, &message).await {
                return error.to_string();
            }
        }
        String::new()
    };
    let reason = tokio::select! { reason = requests => reason, reason = writer => reason };
    let _ = stream.clone().shutdown().await;
    reason
}

fn hello() -> Hello {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    let uptime_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    Hello { version: VERSION, uptime_ns }
}

fn answer(containers: &Rc<Containers>, request: Request) -> Message {
    let done = |pid| message::Body::Done(Done { pid });
    let result = match request.body {
        None => Err(Refusal::Text("the request is empty or of a newer protocol than this agent's".into())),
        Some(request::Body::Setup(setup)) => setup::run(&setup).map(|()| done(0)).map_err(Refusal::Text),
        Some(request::Body::Create(create)) => containers.create(create).map(done),
        Some(request::Body::Start(start)) => containers.start(&start.container).map(done),
        Some(request::Body::Exec(exec)) => containers.exec(exec).map(done),
        Some(request::Body::Archive(archive)) => containers.archive(archive).map(done),
        Some(request::Body::Signal(signal)) => containers.signal(&signal).map(|()| done(0)),
        Some(request::Body::Resize(resize)) => containers.resize(&resize).map(|()| done(0)),
        Some(request::Body::Stats(stats)) => {
            containers.with(&stats.container, figures::stats).map(message::Body::Stats)
        }
        Some(request::Body::Sync(_)) => setup::sync_shares().map(|()| done(0)).map_err(Refusal::Text),
        Some(request::Body::Update(update)) => containers
            .with(&update.container, |container| figures::update(container, &update.resources))
            .map(|()| done(0)),
        Some(request::Body::Processes(asked)) => containers
            .with(&asked.container, |container| figures::processes(container, asked.after))
            .map(message::Body::Processes),
        Some(request::Body::Delete(delete)) => containers.delete(&delete.container).map(|()| done(0)),
    };
    let body = result.unwrap_or_else(|refusal| {
        let exit_code = match &refusal {
            Refusal::Text(_) => sandbox_container::EXIT_ENGINE,
            Refusal::Core(error) => error.exit_code(),
        };
        let mut message = refusal.to_string();
        message.truncate(message.floor_char_boundary(MAX_TEXT));
        message::Body::Failed(Failed { message, exit_code: exit_code.into() })
    });
    Message { id: request.id, body: Some(body) }
}

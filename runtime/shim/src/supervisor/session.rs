//! Connections to the supervisor's socket: each says first what it is for.
//!
//! The socket is in a directory that only root may enter, so whoever connects is trusted with the container, but not
//! to read, to be there, or to be of the same version.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use sandbox_container::Processes;
use sandbox_protocol::FdStream;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::board::Board;
use super::client::{Client, Event, Writer};
use super::exec;
use super::hub::{Hub, PATIENCE};
use super::input::{Input, pump};
use super::order::{Answer, Ask, Orders, Patience, not_running};
use crate::isolation::Failure;
use crate::wire::{Attach, Exit, Notice, Request};

/// How long a connection may say nothing about itself.
const OPENING: Duration = Duration::from_secs(10);
/// Processes in one frame: each tells at most some kilobytes of itself.
const PART: usize = 64;
/// Connections at a time; the next ones wait.
const CONNECTIONS: usize = 512;

/// What connections are about.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) stdin_once: bool,
    pub(crate) hub: Rc<Hub>,
    pub(crate) input: Rc<Input>,
    pub(crate) board: Rc<Board>,
    /// The overlay of the container that runs now.
    pub(crate) root: Rc<RefCell<Option<OwnedFd>>>,
    pub(crate) orders: Orders,
    pub(crate) ends: watch::Receiver<Option<Exit>>,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Sessions {
    accepting: Option<AbortHandle>,
    finished: watch::Receiver<usize>,
}

/// Accepts connections until [`Sessions::finish`].
pub(crate) fn serve(listener: Option<UnixListener>, door: Rc<Door>) -> Sessions {
    let (open, finished) = watch::channel(0);
    let accepting = listener.map(|listener| {
        tokio::task::spawn_local(async move {
            loop {
                // An error is about one connection, or about descriptors, which come back.
                let Ok((connection, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let Ok(connection) = connection.into_std().map(Into::into).and_then(FdStream::new) else {
                    continue;
                };
                let room = async |open: &watch::Sender<usize>| {
                    let _ = open.subscribe().wait_for(|count| *count < CONNECTIONS).await;
                };
                room(&open).await;
                let (door, open) = (Rc::clone(&door), open.clone());
                open.send_modify(|count| *count += 1);
                tokio::task::spawn_local(async move {
                    session(&door, connection).await;
                    open.send_modify(|count| *count -= 1);
                });
            }
        })
        .abort_handle()
    });
    Sessions { accepting, finished }
}

impl Sessions {
    /// Accepts no more, and waits until those that are there are over.
    pub(crate) async fn finish(mut self) {
        if let Some(accepting) = self.accepting {
            accepting.abort();
        }
        let _ = self.finished.wait_for(|count| *count == 0).await;
    }
}

async fn session(door: &Rc<Door>, connection: FdStream) {
    let mut client = Client::new(Some(connection), Some(PATIENCE));
    match timeout(OPENING, client.events.recv()).await {
        Ok(Some(Event::Request(request))) => answer(door, request, &mut client).await,
        Ok(Some(Event::Unknown(what))) => {
            let message = format!(
                "the supervisor of this container (version {}) cannot do this: {what}; restart the container \
                 to have it supervised by the installed version",
                env!("CARGO_PKG_VERSION")
            );
            client.writer.notify(&Notice::Failed { message, exit_code: 1 }).await;
        }
        _ => {}
    }
    client.writer.close();
}

async fn answer(door: &Rc<Door>, request: Request, client: &mut Client) {
    let ask = match request {
        Request::Attach(streams) => return attach(door, streams, client).await,
        Request::Exec(request) => return exec::run(&door.orders, &door.board, *request, client).await,
        Request::Archive { id, archive } => return exec::archive(&door.orders, id, archive, client).await,
        Request::Root => return root(door, client).await,
        Request::Wait => return wait(door, client).await,
        Request::Signal { signal } | Request::Kill { signal } => Ask::Kill { signal },
        Request::Resize { rows, cols } => Ask::Resize { process: String::new(), rows, cols },
        Request::Stop { signal, timeout_s, keep } => {
            Ask::Stop { signal, patience: Patience::of(timeout_s), keep }
        }
        Request::Pause => Ask::Pause,
        Request::Resume => Ask::Resume,
        Request::Update(update) => Ask::Update(update),
        Request::Policy { restart } => Ask::Policy(restart),
        Request::Processes => Ask::Processes,
        Request::Stats => Ask::Stats,
        Request::Sync => Ask::Sync,
        Request::Detach => return,
    };
    let answer = door.orders.ask(ask).await;
    reply(&client.writer, answer).await;
}

/// Hands out the root file system on this host.
async fn root(door: &Door, client: &mut Client) {
    let root = door.root.borrow().as_ref().map(OwnedFd::try_clone);
    let failure = match root {
        Some(Ok(root)) => match client.writer.notify_with(&Notice::Done, &root).await {
            Ok(()) => return,
            Err(error) => Failure::engine(format!("hand out the root file system: {error}")),
        },
        Some(Err(error)) => Failure::engine(format!("hand out the root file system: {error}")),
        None => not_running(),
    };
    reply(&client.writer, Err(failure)).await;
}

/// Tells what came of an order.
async fn reply(writer: &Writer, answer: Result<Answer, Failure>) {
    let notice = match answer {
        Ok(Answer::Done | Answer::Process(_)) => Notice::Done,
        Ok(Answer::Stats(stats)) => Notice::Stats(stats),
        Ok(Answer::Processes(processes)) => return list(writer, processes).await,
        Err(Failure { message, exit_code }) => Notice::Failed { message, exit_code },
    };
    writer.notify(&notice).await;
}

/// Sends a list that may be longer than a frame.
async fn list(writer: &Writer, mut processes: Processes) {
    let all = std::mem::take(&mut processes.list);
    for part in all.chunks(PART) {
        let some = Processes { list: part.to_vec(), ..processes.clone() };
        if !writer.notify(&Notice::Processes(some)).await {
            return;
        }
    }
    writer.notify(&Notice::Done).await;
}

/// Until the next end, as long as the client wants to know.
async fn wait(door: &Door, client: &mut Client) {
    let mut ends = door.ends.clone();
    ends.mark_unchanged();
    client.writer.notify(&Notice::Done).await;
    tokio::select! {
        // When no further end can come, the last was for good.
        _ = ends.changed() => {
            let exit = ends.borrow().clone();
            let notice = if let Some(exit) = exit {
                Notice::Exited(exit)
            } else {
                let Failure { message, exit_code } = not_running();
                Notice::Failed { message, exit_code }
            };
            client.writer.notify(&notice).await;
        }
        _ = client.events.recv() => {}
    }
}

/// Takes part in the container's streams until one of the two ends.
async fn attach(door: &Rc<Door>, streams: Attach, client: &mut Client) {
    let Client { events, stdin, writer } = client;
    writer.notify(&Notice::Done).await;
    door.board.tell("attach", &[]);
    door.hub.join(writer, streams);
    let mut tasks = JoinSet::new();
    if streams.stdin {
        let pump = pump(Rc::clone(stdin), Rc::clone(&door.input), Rc::clone(writer), door.stdin_once);
        tasks.spawn_local(pump);
    }
    let mut detached = false;
    while let Some(event) = events.recv().await {
        match event {
            Event::Request(Request::Detach) => detached = true,
            Event::Request(Request::Resize { rows, cols }) => {
                door.orders.tell(Ask::Resize { process: String::new(), rows, cols }).await;
            }
            Event::Request(Request::Signal { signal }) => door.orders.tell(Ask::Kill { signal }).await,
            Event::Request(_) | Event::Unknown(_) => {}
            Event::Gone => break,
        }
    }
    door.hub.leave(writer);
    if detached {
        door.board.tell("detach", &[]);
    }
}

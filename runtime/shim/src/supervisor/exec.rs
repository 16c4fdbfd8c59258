//! A connection that runs another process in the container: its streams, its end.
//!
//! The process is not tied to the connection: it goes on without its client, as Docker's do, and what it writes then
//! is dropped.

use std::rc::Rc;

use sandbox_container::archive::Archive;
use tokio::sync::watch;

use super::board::Board;
use super::client::{Client, Event, Writer};
use super::input::{Input, pump};
use super::order::{Answer, Ask, Orders};
use super::streams::{self, Sink};
use crate::isolation::{self, Failure, Process, Stdio};
use crate::wire::{self, Exec, Exit, Notice, Request};

/// Digits of an id.
const ID: usize = 64;

/// Runs a process that was asked for to its end.
pub(crate) async fn run(orders: &Orders, board: &Board, request: Exec, client: &mut Client) {
    let (name, detach) = (request.id.clone(), request.detach);
    let command = request.process.args().clone().unwrap_or_default().join(" ");
    for step in ["exec_create", "exec_start"] {
        board.tell(&format!("{step}: {command}"), &[("execID", &name)]);
    }
    let process = start(orders, request).await;
    if let Some(exit) = serve(orders, &name, process, detach, client).await {
        board.tell("exec_die", &[("execID", &name), ("exitCode", &exit.code.to_string())]);
        client.writer.notify(&Notice::Exited(exit)).await;
    }
}

/// Copies files over the client's streams.
pub(crate) async fn archive(orders: &Orders, name: String, archive: Archive, client: &mut Client) {
    let process = match check(&name) {
        Ok(()) => process(orders.ask(Ask::Archive { name: name.clone(), archive }).await),
        Err(failure) => Err(failure),
    };
    if let Some(exit) = serve(orders, &name, process, false, client).await {
        client.writer.notify(&Notice::Exited(exit)).await;
    }
}

/// Relays between the process and its client until it has ended; None if it never was there.
async fn serve(
    orders: &Orders,
    name: &str,
    process: Result<Process, Failure>,
    detach: bool,
    client: &mut Client,
) -> Option<Exit> {
    client.writer.be_patient();
    let process = match process {
        Ok(process) => process,
        Err(Failure { message, exit_code }) => {
            client.writer.notify(&Notice::StartFailed { message, exit_code }).await;
            return None;
        }
    };
    let Client { events, stdin, writer } = client;
    let Process { pid, streams, exited } = process;
    writer.notify(&Notice::Started { pid }).await;
    let input = Rc::new(Input::default());
    input.open(streams.input);
    let (end, ended) = watch::channel(false);
    let relay = |kind, stream| {
        let to = if detach { None } else { Some(Rc::clone(writer)) };
        tokio::task::spawn_local(streams::output(kind, stream, To(to), ended.clone()))
    };
    let outputs =
        [Some(relay(wire::STDOUT, streams.output)), streams.error.map(|error| relay(wire::STDERR, error))];
    let pumping =
        tokio::task::spawn_local(pump(Rc::clone(stdin), Rc::clone(&input), Rc::clone(writer), true));
    if detach {
        writer.close();
    }
    let requests = async {
        while let Some(event) = events.recv().await {
            match event {
                Event::Request(Request::Resize { rows, cols }) => {
                    orders.tell(Ask::Resize { process: name.to_owned(), rows, cols }).await;
                }
                Event::Request(Request::Signal { signal }) => {
                    orders.tell(Ask::Signal { process: name.to_owned(), signal }).await;
                }
                Event::Request(_) | Event::Unknown(_) => {}
                Event::Gone => {
                    stdin.end();
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    };
    let exit = tokio::select! {
        exit = exited => exit,
        () = requests => return None,
    };
    let _ = end.send(true);
    for relay in outputs.into_iter().flatten() {
        // A relay that panicked has nothing to deliver.
        let _ = relay.await;
    }
    pumping.abort();
    // A container that ends takes its processes with it, at worst without a word.
    Some(exit.unwrap_or(Exit { code: 137, oom_killed: false, error: None }))
}

async fn start(orders: &Orders, request: Exec) -> Result<Process, Failure> {
    let Exec { id, process: wanted, user, extra_groups, terminal, stdin, detach: _ } = request;
    check(&id)?;
    let stdio = Stdio { terminal, stdin };
    let exec = isolation::Exec { name: id, process: wanted, user, extra_groups, stdio };
    process(orders.ask(Ask::Exec(Box::new(exec))).await)
}

fn process(answer: Result<Answer, Failure>) -> Result<Process, Failure> {
    match answer? {
        Answer::Process(process) => Ok(process),
        _ => Err(Failure::engine("the container made no process")),
    }
}

/// An id names its process from then on.
fn check(id: &str) -> Result<(), Failure> {
    if id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(Failure::engine(format!("the id {id:?} of the new process is not {ID} hex digits")))
}

/// One client, or nobody.
struct To(Option<Rc<Writer>>);

impl Sink for To {
    async fn output(&self, _kind: u8, frame: &[u8]) {
        if let Some(writer) = &self.0 {
            writer.send(frame).await;
        }
    }
}

//! The life of one container: started, relayed, ended, told about. The same for every isolation.

pub mod client;
mod streams;

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::Signal as Signals;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use self::client::{Client, Event};
use crate::isolation::{Failure, Isolation, Process, Running, Start};
use crate::plan::Plan;
use crate::stamps::Stamps;
use crate::status;
use crate::wire::{self, Exit, Notice, Request};

/// How long a signal or a resize may take; the next one waits behind it.
const CONTROL: Duration = Duration::from_secs(5);

/// Runs a container to its end and tells the client and `status.json` about it. What is left of it afterwards is
/// files and directories only.
pub async fn supervise<I: Isolation>(
    isolation: I,
    start: Start<'_>,
    client: &mut Client,
    terminate: &mut Signals,
    stamps: &Rc<Stamps>,
) -> Exit {
    let plan = start.plan;
    let mut wishes = Wishes { tied: plan.tied, size: None, signals: Vec::new() };
    let started = tokio::select! {
        biased;
        started = isolation.start(start) => started,
        reason = wishes.collect(client) => Err(Failure::engine(reason)),
        _ = terminate.recv() => Err(Failure::engine("the supervisor was told to end before the container ran")),
    };
    match started {
        Ok((running, process)) => {
            stamps.mark("container_started");
            run(plan, running, process, wishes, client, terminate, stamps).await
        }
        Err(failure) => fail(plan, failure, client).await,
    }
}

/// Records and tells that a container did not start.
pub async fn fail(plan: &Plan, failure: Failure, client: &Client) -> Exit {
    let exit = Exit { code: failure.exit_code, oom_killed: false, error: Some(failure.message.clone()) };
    record(plan, &exit);
    client
        .writer
        .notify(&Notice::StartFailed { message: failure.message, exit_code: failure.exit_code })
        .await;
    exit
}

fn record(plan: &Plan, exit: &Exit) {
    if let Err(error) = status::write(&plan.container_dir, exit) {
        eprintln!("sandbox-shim: write {} in {}: {error}", status::FILE, plan.container_dir.display());
    }
}

/// What a client asked for while the container was not there yet.
#[derive(Debug)]
struct Wishes {
    tied: bool,
    size: Option<(u16, u16)>,
    signals: Vec<i32>,
}

impl Wishes {
    /// Collects them until there is a reason not to start at all.
    async fn collect(&mut self, client: &mut Client) -> String {
        /// As many signals as could mean something.
        const SIGNALS: usize = 64;
        loop {
            match client.events.recv().await {
                Some(Event::Request(Request::Resize { rows, cols })) => self.size = Some((rows, cols)),
                Some(Event::Request(Request::Signal { signal })) if self.signals.len() < SIGNALS => {
                    self.signals.push(signal);
                }
                Some(Event::Request(Request::Signal { .. })) => {}
                Some(Event::Request(Request::Detach)) => self.tied = false,
                Some(Event::Gone) if self.tied => {
                    return "the command that runs the container went away".into();
                }
                Some(Event::Gone) => client.stdin.end(),
                None => std::future::pending().await,
            }
        }
    }
}

async fn run<R: Running>(
    plan: &Plan,
    running: R,
    process: Process,
    wishes: Wishes,
    client: &mut Client,
    terminate: &mut Signals,
    stamps: &Rc<Stamps>,
) -> Exit {
    let Process { pid, streams, exited } = process;
    let writer = &client.writer;
    writer.notify(&Notice::Started { pid }).await;
    let (end, ended) = watch::channel(false);
    let relay = |kind, stream| {
        let (writer, stamps) = (Rc::clone(writer), Rc::clone(stamps));
        tokio::task::spawn_local(streams::output(kind, stream, writer, ended.clone(), stamps))
    };
    let output = relay(wire::STDOUT, streams.output);
    let error = streams.error.map(|stream| relay(wire::STDERR, stream));
    let input =
        tokio::task::spawn_local(streams::input(Rc::clone(&client.stdin), streams.input, Rc::clone(writer)));

    let exit = control(plan, &running, wishes, client, terminate, exited).await;
    stamps.mark("exited");
    let _ = end.send(true);
    for relay in [Some(output), error].into_iter().flatten() {
        // A relay that panicked has nothing to deliver.
        let _ = relay.await;
    }
    input.abort();
    record(plan, &exit);
    let notice = Notice::Exited(exit.clone());
    let (stopped, ()) = tokio::join!(running.stop(!plan.remove), client.writer.notify(&notice));
    if let Err(failure) = stopped {
        eprintln!("sandbox-shim: container {}: {failure}", plan.id);
    }
    exit
}

/// Does what the client and the host ask for until the container's process has ended.
async fn control<R: Running>(
    plan: &Plan,
    running: &R,
    mut wishes: Wishes,
    client: &mut Client,
    terminate: &mut Signals,
    mut exited: tokio::sync::oneshot::Receiver<Exit>,
) -> Exit {
    let mut requests: Vec<Request> =
        wishes.signals.drain(..).map(|signal| Request::Signal { signal }).collect();
    requests.extend(wishes.size.map(|(rows, cols)| Request::Resize { rows, cols }));
    let mut kill_at: Option<Instant> = None;
    let mut gone = false;
    loop {
        for request in requests.drain(..) {
            // A process that has just ended takes neither; there is nobody to tell.
            let _ = match request {
                Request::Signal { signal: libc::SIGKILL } => {
                    timeout(CONTROL, async {
                        running.kill().await;
                        Ok(())
                    })
                    .await
                }
                Request::Signal { signal } => timeout(CONTROL, running.signal("", signal)).await,
                Request::Resize { rows, cols } => timeout(CONTROL, running.resize("", rows, cols)).await,
                Request::Detach => {
                    wishes.tied = false;
                    Ok(Ok(()))
                }
            };
        }
        let kill = async {
            match kill_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            exit = &mut exited => {
                let lost = || Exit {
                    code: sandbox_container::EXIT_ENGINE,
                    oom_killed: false,
                    error: Some("lost track of the container's process".into()),
                };
                return exit.unwrap_or_else(|_| lost());
            }
            event = client.events.recv(), if !gone => match event {
                Some(Event::Request(request)) => requests.push(request),
                Some(Event::Gone) | None => {
                    gone = true;
                    if wishes.tied {
                        kill_at = Some(Instant::now());
                    } else {
                        client.stdin.end();
                    }
                }
            },
            _ = terminate.recv() => {
                requests.push(Request::Signal { signal: plan.stop_signal });
                let patience = Duration::from_secs(plan.stop_timeout_s.into());
                kill_at = Some(kill_at.unwrap_or_else(|| Instant::now() + patience));
            }
            () = kill => {
                running.kill().await;
                kill_at = None;
            }
        }
    }
}

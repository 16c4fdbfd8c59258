//! One start of the container, up to the end of its process and of its output.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::control::control;
use super::health;
use super::hub::Hub;
use super::streams::{self, Sink};
use super::world::World;
use crate::isolation::{Failure, Isolation, Process, Running, Start};
use crate::log::{Log, Stream};
use crate::stamps::Stamps;
use crate::wire::{self, Exit, HEADER, Notice};

/// How much later than the container's own end those of its other processes may be told.
const OTHERS: Duration = Duration::from_secs(2);

/// Starts the container and lets it live. What is left of it afterwards is files and directories only.
///
/// # Errors
/// Why it did not start.
pub(super) async fn round<I: Isolation>(
    world: &mut World<'_>,
    isolation: I,
    start: Start<'_>,
) -> Result<Exit, Failure> {
    let (running, process) = tokio::select! {
        biased;
        started = isolation.start(start) => started?,
        reason = world.collect() => return Err(reason),
    };
    world.stamps.mark("container_started");
    let Process { pid, streams, exited } = process;
    world.board.running(pid);
    world.started = Some(Instant::now());
    world.hub.notify(&Notice::Started { pid }).await;
    world.input.open(streams.input);
    let (end, ended) = watch::channel(false);
    let relay = |kind, stream| {
        let sink = Output {
            hub: Rc::clone(&world.hub),
            log: Rc::clone(&world.log),
            stamps: Rc::clone(&world.stamps),
        };
        tokio::task::spawn_local(streams::output(kind, stream, sink, ended.clone()))
    };
    let output = relay(wire::STDOUT, streams.output);
    let error = streams.error.map(|stream| relay(wire::STDERR, stream));
    let mut others = JoinSet::new();

    let health = health::watch(world.plan, &world.asking, &world.board);
    let exit = control(world, &running, exited, &mut others).await;
    drop(health);
    world.stamps.mark("exited");
    let _ = end.send(true);
    for relay in [Some(output), error].into_iter().flatten() {
        // A relay that panicked has nothing to deliver.
        let _ = relay.await;
    }
    // They die with the container; only something outside of it could be late.
    let _ = timeout(OTHERS, async { while others.join_next().await.is_some() {} }).await;
    let (stopped, ()) = tokio::join!(running.stop(!world.plan.remove), world.ended(&exit));
    if let Err(failure) = stopped {
        eprintln!("sandbox-shim: container {}: {failure}", world.plan.id);
    }
    Ok(exit)
}

/// The container's output on its way to the log and the clients.
struct Output {
    hub: Rc<Hub>,
    log: Rc<RefCell<Option<Log>>>,
    stamps: Rc<Stamps>,
}

impl Sink for Output {
    async fn output(&self, kind: u8, frame: &[u8]) {
        if frame.len() > HEADER {
            self.stamps.mark_once("first_output");
            let stream = if kind == wire::STDERR { Stream::Stderr } else { Stream::Stdout };
            if let Some(log) = self.log.borrow_mut().as_mut() {
                log.write(stream, &frame[HEADER..]);
            }
        }
        self.hub.output(kind, frame).await;
    }
}

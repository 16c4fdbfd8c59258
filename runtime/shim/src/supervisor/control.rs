//! The time between a container's start and its end: orders are done as they come, side by side, until its process ends.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::board::Board;
use super::order::{Answer, Ask, Order, Patience};
use super::world::World;
use crate::isolation::{Failure, Process, Running};
use crate::wire::Exit;

/// How long a signal or a resize may take.
const CONTROL: Duration = Duration::from_secs(5);

/// Orders being done.
type Work<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Option<oneshot::Receiver<Exit>>> + 'a>>>;

/// Does what is asked until `exited` says that the container's process has ended, and returns how. `others` are its
/// other processes; they end with it, but their ends may be told a moment later.
pub(super) async fn control<R: Running>(
    world: &mut World<'_>,
    running: &R,
    mut exited: oneshot::Receiver<Exit>,
    others: &mut JoinSet<()>,
) -> Exit {
    let mut work = Work::new();
    let mut kill_at =
        world.plan.timeout_s.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let again = world.limits.clone().map(|limits| Order { ask: Ask::Update(limits), reply: None });
    for order in again.into_iter().chain(std::mem::take(&mut world.later)) {
        take(world, running, order, &mut work, &mut kill_at);
    }
    loop {
        let kill = async {
            match kill_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            exit = &mut exited => {
                return exit.unwrap_or_else(|_| Exit {
                    code: sandbox_container::EXIT_ENGINE,
                    oom_killed: false,
                    error: Some("lost track of the container's process".into()),
                });
            }
            order = world.orders.recv() => {
                // The world itself holds a sender.
                if let Some(order) = order {
                    take(world, running, order, &mut work, &mut kill_at);
                }
            }
            Some(process) = work.next(), if !work.is_empty() => {
                if let Some(ended) = process {
                    others.spawn_local(async move { drop(ended.await) });
                }
            }
            _ = world.terminate.recv() => {
                world.ending = true;
                stop(world, running, (None, Patience::Own), &mut work, &mut kill_at);
            }
            () = kill => {
                kill_at = None;
                running.kill().await;
            }
        }
    }
}

/// Begins to do what is asked.
fn take<'a, R: Running>(
    world: &mut World<'_>,
    running: &'a R,
    order: Order,
    work: &mut Work<'a>,
    kill_at: &mut Option<Instant>,
) {
    match order.ask {
        Ask::Untie => world.tied = false,
        Ask::Gone if world.tied => {
            world.ending = true;
            *kill_at = Some(Instant::now());
        }
        Ask::Gone => {}
        Ask::Policy(restart) => {
            world.restart = restart;
            order.answer(Ok(Answer::Done));
        }
        Ask::Stop { signal, patience, keep } => {
            world.board.stopping();
            if keep {
                world.board.keep();
            }
            let number = signal.unwrap_or(world.plan.stop_signal).to_string();
            world.board.tell("kill", &[("signal", &number)]);
            stop(world, running, (signal, patience), work, kill_at);
            world.stoppers.push(Order { ask: Ask::Gone, reply: order.reply });
        }
        Ask::Kill { signal } => {
            if world.ends(signal) {
                world.board.stopping();
            }
            world.board.tell("kill", &[("signal", &signal.to_string())]);
            let ask = Ask::Signal { process: String::new(), signal };
            work.push(Box::pin(perform(running, Rc::clone(&world.board), Order { ask, reply: order.reply })));
        }
        ask => {
            if let Ask::Update(limits) = &ask {
                world.limits = Some(limits.clone());
            }
            work.push(Box::pin(perform(running, Rc::clone(&world.board), Order { ask, reply: order.reply })));
        }
    }
}

/// Sends the stop signal, and sees to it that patience has an end.
fn stop<'a, R: Running>(
    world: &World<'_>,
    running: &'a R,
    (signal, patience): (Option<i32>, Patience),
    work: &mut Work<'a>,
    kill_at: &mut Option<Instant>,
) {
    let patience = match patience {
        Patience::Own => u64::try_from(world.plan.stop_timeout_s).ok().map(Duration::from_secs),
        Patience::For(patience) => Some(patience),
        Patience::Endless => None,
    };
    // The shortest patience of all who ask counts. An instant that does not exist is never.
    let at = patience.and_then(|patience| Instant::now().checked_add(patience));
    *kill_at = [*kill_at, at].into_iter().flatten().min();
    let signal = signal.unwrap_or(world.plan.stop_signal);
    let order = Order { ask: Ask::Signal { process: String::new(), signal }, reply: None };
    work.push(Box::pin(perform(running, Rc::clone(&world.board), order)));
}

/// Does it, answers, and says what to wait for if there is a new process.
async fn perform<R: Running>(running: &R, board: Rc<Board>, order: Order) -> Option<oneshot::Receiver<Exit>> {
    let Order { ask, reply } = order;
    let mut started = None;
    let result = match ask {
        Ask::Signal { process, signal: libc::SIGKILL } if process.is_empty() => within(async {
            running.kill().await;
            Ok(())
        })
        .await
        .map(|()| Answer::Done),
        Ask::Signal { process, signal } => {
            let sent = within(running.signal(&process, signal)).await;
            // As Docker: whoever signals a paused container wants it to be noticed.
            if sent.is_ok() && process.is_empty() && board.is_paused() && running.resume().await.is_ok() {
                board.paused(false);
            }
            sent.map(|()| Answer::Done)
        }
        Ask::Resize { process, rows, cols } => {
            within(running.resize(&process, rows, cols)).await.map(|()| Answer::Done)
        }
        Ask::Stats => running.stats().await.map(|stats| Answer::Stats(Box::new(stats))),
        Ask::Update(update) => running.update(&update).await.map(|()| Answer::Done),
        Ask::Processes => running.processes().await.map(Answer::Processes),
        Ask::Pause => running.pause().await.map(|()| {
            board.paused(true);
            Answer::Done
        }),
        Ask::Resume => running.resume().await.map(|()| {
            board.paused(false);
            Answer::Done
        }),
        Ask::Exec(_) if board.is_paused() => Err(paused(&board, "exec")),
        // Docker copies from a frozen container; of a microVM that stands still nobody inside can.
        Ask::Archive { .. } if board.is_paused() => Err(paused(&board, "copying")),
        Ask::Exec(exec) => running.exec(*exec).await.map(|process| {
            let (process, ended) = shared_end(process);
            started = Some(ended);
            Answer::Process(process)
        }),
        Ask::Archive { name, archive } => running.archive(name, archive).await.map(|process| {
            let (process, ended) = shared_end(process);
            started = Some(ended);
            Answer::Process(process)
        }),
        Ask::Sync => running.sync().await.map(|()| Answer::Done),
        Ask::Kill { .. } | Ask::Stop { .. } | Ask::Policy(_) | Ask::Untie | Ask::Gone => Ok(Answer::Done),
    };
    Order { ask: Ask::Gone, reply }.answer(result);
    started
}

fn paused(board: &Board, what: &str) -> Failure {
    let message = format!("Container {} is paused, unpause the container before {what}", board.id());
    Failure { message, exit_code: 1 }
}

/// A second one who learns of the end of `process`.
fn shared_end(process: Process) -> (Process, oneshot::Receiver<Exit>) {
    let Process { pid, streams, exited } = process;
    let (first, for_asker) = oneshot::channel();
    let (second, for_us) = oneshot::channel();
    tokio::task::spawn_local(async move {
        // A sender that is dropped tells both that it will never be known.
        if let Ok(exit) = exited.await {
            let _ = first.send(exit.clone());
            let _ = second.send(exit);
        }
    });
    (Process { pid, streams, exited: for_asker }, for_us)
}

async fn within(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    timeout(CONTROL, work)
        .await
        .unwrap_or_else(|_| Err(Failure::engine(format!("the container did not take it within {CONTROL:?}"))))
}

//! What outlives a single start of the container: its clients, its orders, its status.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::Signal as Signals;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::board::Board;
use super::hub::Hub;
use super::input::Input;
use super::order::{Answer, Ask, Order, Orders, not_running};
use super::policy::Backoff;
use crate::isolation::{Failure, Update};
use crate::log::Log;
use crate::plan::{Plan, Restart};
use crate::stamps::Stamps;
use crate::wire::{Exit, Notice};

/// Orders that are kept until the container is there; more could mean nothing.
const LATER: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) hub: Rc<Hub>,
    pub(crate) input: Rc<Input>,
    pub(crate) log: Rc<RefCell<Option<Log>>>,
    /// The overlay of the container that runs now.
    pub(crate) root: Rc<RefCell<Option<OwnedFd>>>,
    pub(crate) board: Rc<Board>,
    pub(crate) stamps: Rc<Stamps>,
    /// For those of its own.
    pub(crate) asking: Orders,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) terminate: &'a mut Signals,
    /// The primary client's end is the container's.
    pub(crate) tied: bool,
    /// The supervisor itself is to end: its restart policy is a matter of the next boot.
    pub(crate) ending: bool,
    /// What was asked before it could be done.
    pub(crate) later: Vec<Order>,
    /// Who waits for the container's end.
    pub(crate) stoppers: Vec<Order>,
    /// The last limits that it was given while it ran, which its plan does not know.
    pub(crate) limits: Option<Box<Update>>,
    /// Tells of every end.
    pub(crate) ends: watch::Sender<Option<Exit>>,
    /// The plan's, until somebody wants another.
    pub(crate) restart: Restart,
    pub(crate) backoff: Backoff,
    /// When its process began to run.
    pub(crate) started: Option<Instant>,
    /// How long after its last end it is started again, if it is.
    pub(crate) again: Option<Duration>,
}

impl World<'_> {
    /// Whether somebody who sends `signal` means the container's end. Docker takes every signal for that.
    pub(crate) fn ends(&self, signal: i32) -> bool {
        let ending = [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP];
        signal == self.plan.stop_signal || ending.contains(&signal)
    }

    /// Collects orders while the container is being started, until there is a reason not to start it at all.
    pub(crate) async fn collect(&mut self) -> Failure {
        loop {
            let order = tokio::select! {
                order = self.orders.recv() => order,
                _ = self.terminate.recv() => {
                    self.ending = true;
                    return Failure::engine("the supervisor was told to end before the container ran");
                }
            };
            let Some(order) = order else { std::future::pending().await };
            match order.ask {
                Ask::Untie => self.tied = false,
                Ask::Gone if self.tied => {
                    self.ending = true;
                    return Failure::engine("the command that runs the container went away");
                }
                Ask::Gone => {}
                _ if self.later.len() < LATER => self.later.push(order),
                _ => order.answer(Err(Failure::engine("the container is still being started"))),
            }
        }
    }

    /// Waits before the container is started again; false if somebody does not want that any more.
    pub(crate) async fn pause(&mut self, wait: Duration) -> bool {
        let until = sleep(wait);
        tokio::pin!(until);
        loop {
            let order = tokio::select! {
                () = &mut until => return true,
                order = self.orders.recv() => order,
                _ = self.terminate.recv() => return false,
            };
            let Some(order) = order else { std::future::pending().await };
            match order.ask {
                Ask::Stop { keep, .. } => {
                    self.board.stopping();
                    if keep {
                        self.board.keep();
                    }
                    self.stoppers.push(order);
                    return false;
                }
                Ask::Kill { signal } if self.ends(signal) => {
                    self.board.stopping();
                    order.answer(Ok(Answer::Done));
                    return false;
                }
                Ask::Untie | Ask::Gone => {}
                Ask::Policy(restart) => {
                    self.restart = restart;
                    order.answer(Ok(Answer::Done));
                    // It is not to be started again any more.
                    if restart == Restart::No {
                        return false;
                    }
                }
                Ask::Exec(_) => order.answer(Err(Failure {
                    message: format!(
                        "Container {} is restarting, wait until the container is running",
                        self.plan.id
                    ),
                    exit_code: 1,
                })),
                _ => order.answer(Err(not_running())),
            }
        }
    }

    /// Its process has ended: decides whether it is started again, writes it down and tells everybody.
    pub(crate) async fn ended(&mut self, exit: &Exit) {
        let ran = self.started.take().map_or(Duration::ZERO, |started| started.elapsed());
        self.board.died(exit, ran);
        self.again = if self.ending || self.board.stopped() {
            None
        } else {
            self.backoff.next(self.restart, exit.code, ran)
        };
        if self.again.is_some() {
            self.board.restarting(exit);
            self.hub.notify(&Notice::Restarting).await;
        } else {
            self.board.exited(exit);
        }
        self.hub.notify(&Notice::Exited(exit.clone())).await;
        self.ends.send_replace(Some(exit.clone()));
    }

    /// It did not start.
    pub(crate) async fn failed(&mut self, failure: Failure) -> Exit {
        let Failure { message, exit_code } = failure;
        let exit = Exit { code: exit_code, oom_killed: false, error: Some(message.clone()) };
        self.again = None;
        self.board.exited(&exit);
        self.hub.notify(&Notice::StartFailed { message, exit_code }).await;
        self.ends.send_replace(Some(exit.clone()));
        exit
    }

    /// It has ended for good: whoever waited for that learns it, and nobody else gets anything done.
    pub(crate) fn close(&mut self) {
        for stopper in self.stoppers.drain(..) {
            stopper.answer(Ok(Answer::Done));
        }
        self.orders.close();
        let rest = std::mem::take(&mut self.later).into_iter();
        for order in rest.chain(std::iter::from_fn(|| self.orders.try_recv().ok())) {
            match order.ask {
                Ask::Stop { .. } => order.answer(Ok(Answer::Done)),
                _ => order.answer(Err(not_running())),
            }
        }
    }
}

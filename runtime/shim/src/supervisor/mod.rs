//! The life of one container: started, relayed, ended, told about, and started again where its restart policy wants
//! that. The same for every isolation.

mod board;
mod client;
mod control;
mod exec;
mod health;
mod hub;
mod input;
mod order;
mod policy;
pub mod primary;
mod round;
mod session;
mod streams;
mod world;

#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use sandbox_protocol::FdStream;
use tokio::net::UnixListener;
use tokio::signal::unix::Signal as Signals;
use tokio::sync::watch;
use tokio::time::timeout;

use self::board::Board;
use self::hub::Hub;
use self::input::Input;
use self::order::Orders;
use self::policy::Backoff;
use self::primary::Primary;
use self::session::Door;
use self::world::World;
use crate::isolation::{Failure, Isolation, Start};
use crate::log::Log;
use crate::plan::Plan;
use crate::stamps::Stamps;
use crate::wire::{Exit, Notice};

/// How long the last answers may take to reach those who asked.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a start needs and leaves.
pub trait Ground {
    type Isolation: Isolation;

    /// Makes the isolation and mounts the root file system.
    ///
    /// # Errors
    /// A text for the user.
    fn lay(&mut self) -> Result<(Self::Isolation, OwnedFd), Failure>;

    /// Takes away what a start has left, so that the next one finds nothing of it.
    fn clear(&mut self);
}

/// Who talks to the supervisor: the command that started it, and everybody who connects later.
#[derive(Debug)]
pub struct Clients {
    pub primary: Option<FdStream>,
    pub listener: Option<UnixListener>,
}

/// Runs a container until it has ended for good and nothing but files and directories is left of it. The primary client
/// is still to be told that even they are gone.
pub async fn supervise<G: Ground>(
    mut ground: G,
    plan: &Plan,
    clients: Clients,
    terminate: &mut Signals,
    stamps: &Rc<Stamps>,
) -> (Exit, Primary) {
    let (asking, orders) = Orders::new();
    let (hub, input, board) = (Rc::new(Hub::default()), Rc::new(Input::default()), Rc::new(Board::new(plan)));
    let (ends, _) = watch::channel(None);
    let root = Rc::default();
    let primary = Primary::begin(clients.primary, plan, &hub, &input, asking.clone());
    let door = Door {
        stdin_once: plan.stdin_once,
        hub: Rc::clone(&hub),
        input: Rc::clone(&input),
        board: Rc::clone(&board),
        root: Rc::clone(&root),
        orders: asking.clone(),
        ends: ends.subscribe(),
    };
    let sessions = session::serve(clients.listener, Rc::new(door));
    let mut world = World {
        plan,
        hub,
        input,
        log: Rc::default(),
        root,
        board,
        stamps: Rc::clone(stamps),
        asking,
        orders,
        terminate,
        tied: plan.tied,
        ending: false,
        later: Vec::new(),
        stoppers: Vec::new(),
        limits: None,
        ends,
        restart: plan.restart,
        backoff: Backoff::default(),
        started: None,
        again: None,
    };
    let opened = Log::open(&plan.log, &plan.container_dir).await;
    let opened = opened.map(|log| *world.log.borrow_mut() = Some(log));
    let exit = loop {
        if let Err(failure) = &opened {
            break world.failed(failure.clone()).await;
        }
        let exit = begin(&mut world, &mut ground).await;
        world.root.take();
        ground.clear();
        let Some(wait) = world.again.take() else { break exit };
        // Who was there for this run has seen its end.
        world.tied = false;
        primary.release();
        world.hub.disband();
        world.input.renew();
        if !world.pause(wait).await {
            world.board.exited(&exit);
            break exit;
        }
    };
    let log = world.log.borrow_mut().take();
    if let Some(log) = log {
        let lost = log.close().await;
        if lost > 0 {
            eprintln!("sandbox-shim: container {}: its log has lost {lost} lines", plan.id);
        }
    }
    world.close();
    primary.part(&world.hub);
    world.hub.disband();
    // What waits for another end learns that there is none.
    drop(world);
    // Answers on their way; clients that do not take them are not waited for.
    let _ = timeout(FAREWELL, sessions.finish()).await;
    (exit, primary)
}

/// Records and tells that a container cannot even be supervised.
pub async fn refuse(plan: &Plan, primary: Option<FdStream>, failure: Failure) -> (Exit, Primary) {
    let Failure { message, exit_code } = failure;
    let exit = Exit { code: exit_code, oom_killed: false, error: Some(message.clone()) };
    Board::new(plan).exited(&exit);
    let primary = Primary::silent(primary);
    primary.tell(&Notice::StartFailed { message, exit_code }).await;
    (exit, primary)
}

/// One start and what came of it.
async fn begin<G: Ground>(world: &mut World<'_>, ground: &mut G) -> Exit {
    let (isolation, rootfs) = match ground.lay() {
        Ok(ground) => ground,
        Err(failure) => return world.failed(failure).await,
    };
    world.stamps.mark("rootfs_mounted");
    *world.root.borrow_mut() = rootfs.try_clone().ok();
    let stamps = Rc::clone(&world.stamps);
    let start = Start { plan: world.plan, rootfs, stamps: &stamps };
    match round::round(world, isolation, start).await {
        Ok(exit) => exit,
        Err(failure) => world.failed(failure).await,
    }
}

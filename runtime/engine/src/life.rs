//! What is done to a container that is there: ended, renamed, removed.

use sandbox_shim::wire::{Exit, Notice, Request};

use crate::announce;
use crate::create::Made;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lock;
use crate::name;
use crate::reclaim;
use crate::state::containers::{self, Container, End, State};

/// Descriptor of the lock that a supervisor passes on.
const LOCK: i32 = 4;

/// How to stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stop {
    /// Instead of the container's own stop signal.
    pub signal: Option<i32>,
    /// Seconds until SIGKILL, instead of the container's own; negative: never.
    pub timeout_s: Option<i64>,
    /// It will be started again: `--rm` does not apply to this end.
    pub keep: bool,
}

impl Engine {
    /// Stops a container and waits until it is down; one that does not run is stopped already.
    pub fn stop(&self, container: &Container, how: Stop) -> Result<()> {
        let Stop { signal, timeout_s, keep } = how;
        match self.tell(container, &Request::Stop { signal, timeout_s, keep }) {
            Ok(()) => {}
            Err(Error::NotRunning(_)) => return Ok(()),
            Err(e) => return Err(e),
        }
        announce::container(&self.paths, container, "stop", &[]);
        self.settle(container)
    }

    /// Tells that a container was stopped and started anew.
    pub fn restarted(&self, container: &Container) {
        announce::container(&self.paths, container, "restart", &[]);
    }

    /// Waits until a container that has ended is cleaned up after, and its end is in its row.
    pub(crate) fn settle(&self, container: &Container) -> Result<()> {
        match self.settled_lock(container) {
            // `--rm`.
            Err(Error::NoSuchContainer(_)) | Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Sends a signal to the init of a running container. SIGKILL is waited for, as Docker does: whoever kills a container may
    /// remove it with the next command.
    pub fn kill(&self, container: &Container, signal: i32) -> Result<()> {
        let refused = |e| match e {
            Error::NotRunning(id) => Error::invalid(format!(
                "cannot kill container: {}: container {id} is not running",
                container.name
            )),
            other => other,
        };
        if signal != libc::SIGKILL {
            return self.tell(container, &Request::Kill { signal }).map_err(refused);
        }
        // The wait begins before the kill, so that the end is that of this run. Whether there is one the kill tells.
        let mut end = self.opened(container, &Request::Wait).map_err(refused)?;
        let _ = end.next();
        self.tell(container, &Request::Kill { signal }).map_err(refused)?;
        // An error is the supervisor's own end.
        while let Ok(Some(notice)) = end.next() {
            if matches!(notice, Notice::Exited(_)) {
                break;
            }
        }
        self.settle(container)
    }

    /// Leaves a container that was taken as it was.
    pub fn put_back(&self, made: Made) -> Result<()> {
        let Made { container: before, lock: _lock, .. } = made;
        if before.started_ns.is_none() {
            return containers::created(&self.connection, &before.id);
        }
        containers::exited(
            &self.connection,
            &before.id,
            &End {
                exit_code: before.exit_code.unwrap_or(0),
                oom_killed: before.oom_killed,
                error: before.error.clone(),
                started_ns: before.started_ns,
                finished_ns: before.finished_ns.unwrap_or_default(),
                stopped: before.stopped,
                never_ran: false,
            },
        )
    }

    /// Gives a container another name.
    pub fn rename(&self, container: &Container, new: &str) -> Result<()> {
        let new = name::validate(new.strip_prefix('/').unwrap_or(new))?;
        if new == container.name {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        containers::rename(&self.connection, &container.id, new)?;
        let renamed = Container { name: new.to_owned(), ..container.clone() };
        announce::container(&self.paths, &renamed, "rename", &[("oldName", &format!("/{}", container.name))]);
        Ok(())
    }

    /// Removes a container; with `force` also one that runs.
    pub fn remove(&self, container: &Container, typed: &str, force: bool, volumes: bool) -> Result<()> {
        let view = self.view(container.clone())?;
        let refused = |why: &str| Error::invalid(format!("cannot remove container \"{typed}\": {why}"));
        if view.is_running() && !force {
            return Err(refused(&match view.state() {
                "paused" => "container is paused and must be unpaused first".to_owned(),
                state => format!("container is {state}: stop the container before removing or force remove"),
            }));
        }
        // One that is just being started, too: it is asked for its end as soon as its supervisor listens.
        if view.is_running() || force && container.state == State::Running {
            match self.stop(container, Stop { timeout_s: Some(0), ..Stop::default() }) {
                Ok(()) | Err(Error::NotRunning(_)) => {}
                Err(e) => return Err(e),
            }
        }
        let _lock = match self.settled_lock(container) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Err(refused("it is being started; try again")),
            // Somebody else was faster.
            Err(Error::NoSuchContainer(_)) => return Ok(()),
            Err(e) => return Err(e),
        };
        if containers::get(&self.connection, &container.id)?.is_none() {
            return Ok(());
        }
        containers::removing(&self.connection, &container.id)?;
        if !volumes {
            crate::state::volumes::keep(&self.connection, &container.id)?;
        }
        reclaim::remove_for_good(&self.connection, &self.paths, container)
    }

    /// Waits until a container does not run and gives its exit code.
    pub fn wait_exited(&self, container: &Container) -> Result<u8> {
        match self.wait(container, || {}) {
            Ok(Exit { code, .. }) => Ok(code),
            Err(Error::NotRunning(_)) => {
                self.settle(container)?;
                let now = containers::get(&self.connection, &container.id)?;
                Ok(now.and_then(|now| now.exit_code).unwrap_or(0))
            }
            Err(e) => Err(e),
        }
    }

    /// What the supervisor of `id` has left to do, when it has become us and passes its lock on.
    pub fn reap_own(&self, id: &str) -> Result<()> {
        let Some(container) = containers::get(&self.connection, id)? else { return Ok(()) };
        let Some(_lock) = lock::inherited(&self.paths.container(id), LOCK)? else {
            return Err(Error::invalid("this command is run by supervisors only"));
        };
        if !matches!(container.state, State::Created | State::Exited) {
            reclaim::release(&self.connection, &self.paths, &container, None)?;
        }
        Ok(())
    }
}

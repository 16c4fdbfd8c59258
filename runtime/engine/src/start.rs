//! Starting a container, a new one or one that has ended before, and what comes of a run that its command waits for.

use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use sandbox_shim::program::PLAN_FILE;
use sandbox_shim::status::{self, Phase};
use sandbox_shim::wire::Exit;

use crate::clock::realtime_ns;
use crate::create::Made;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::image::Defaults;
use crate::isolation::{self, Host};
use crate::lock::{self, Lock, Owner};
use crate::paths::private_dir;
use crate::recipe::Recipe;
use crate::reclaim;
use crate::spawn;
use crate::state::containers::{self, Container, End, State};

/// What a supervisor without a command complains of, in the container's directory; begun anew with each start.
const LOG: &str = "supervisor.log";

/// How a container is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// The container ends with the command that starts it.
    pub tied: bool,
    /// That command's input is the container's.
    pub stdin: bool,
    pub size: Size,
}

/// The terminal of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub cols: u16,
}

/// A container whose supervisor runs. The lock is held by us and by it.
#[derive(Debug)]
pub struct Running {
    container: Container,
    lock: Lock,
    supervisor: Pid,
}

/// How a run ended, as the front end learned it over the connection.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The process ended.
    Exited(Exit),
    /// It never ran.
    StartFailed { message: String, exit_code: u8 },
    /// The connection ended without a word.
    Lost,
}

impl Engine {
    /// Takes a container that does not run, to start it; None if it runs already.
    pub fn take(&self, container: &Container) -> Result<Option<Made>> {
        let dir = self.paths.container(&container.id);
        let Some(lock) = self.settled_lock(container)? else { return Ok(None) };
        let container = self.again(container)?;
        let recipe = Recipe::read(&dir)?.ok_or_else(|| {
            Error::invalid(format!("container {} has lost its configuration", container.id))
        })?;
        let host = Host::look(&recipe.request.limits, &self.vm);
        isolation::check(&recipe.request, &host)?;
        let image = Defaults::from(&self.image(&container.image_id)?);
        let (mut plan, _) = self.plan(&container.id, &recipe.request, &image, recipe.mounts, &host)?;
        self.resolve(&mut plan, &recipe.request)?;
        // The word of before is not the next end's.
        match std::fs::remove_file(dir.join(status::FILE)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove the old status in", dir)(e));
            }
            _ => {}
        }
        containers::starting(&self.connection, &container.id)?;
        let container = Container { state: State::Running, ..container };
        Ok(Some(Made { container, lock, plan, new: false }))
    }

    /// The row as it is now, with the lock held.
    fn again(&self, container: &Container) -> Result<Container> {
        let found = containers::get(&self.connection, &container.id)?;
        match found {
            Some(found) if found.state == State::Removing => Err(Error::invalid(format!(
                "container is marked for removal and cannot be started: {}",
                found.name
            ))),
            Some(found) => Ok(found),
            None => Err(Error::NoSuchContainer(container.name.clone())),
        }
    }

    /// The lock of a container that nobody runs; None if somebody does. One that has just ended is waited for.
    pub(crate) fn settled_lock(&self, container: &Container) -> Result<Option<Lock>> {
        let dir = self.paths.container(&container.id);
        let lock = match lock::probe(&dir)? {
            Owner::Gone(lock) => Some(lock),
            Owner::Alive if self.has_ended(container)? => Some(lock::wait(&dir)?),
            Owner::Alive => None,
            Owner::NoLock => return Err(Error::NoSuchContainer(container.name.clone())),
        };
        if lock.is_some()
            && let Some(now) = containers::get(&self.connection, &container.id)?
            && !matches!(now.state, State::Created | State::Exited)
        {
            reclaim::release(&self.connection, &self.paths, &now, None)?;
        }
        Ok(lock)
    }

    /// Whether its supervisor has said its last word, whatever it still has to clean up.
    pub(crate) fn has_ended(&self, container: &Container) -> Result<bool> {
        let dir = self.paths.container(&container.id);
        let word = status::read(&dir).map_err(Error::io("read the last word in", dir))?;
        Ok(word.is_some_and(|word| word.phase == Phase::Exited))
    }

    /// Starts the supervisor. The connection is the front end's to speak [`sandbox_shim::wire`] on.
    pub fn start(&self, made: Made, manner: Manner) -> Result<(Running, UnixStream)> {
        let Made { container, lock, mut plan, new } = made;
        plan.log.subject.name.clone_from(&container.name);
        (plan.tied, plan.primary_stdin) = (manner.tied, manner.stdin);
        if !manner.tied {
            plan.isolation.unwatched();
        }
        (plan.rows, plan.cols) = (manner.size.rows, manner.size.cols);
        let spawned = (|| {
            private_dir(&plan.run_dir)?;
            let path = plan.run_dir.join(PLAN_FILE);
            write_json(&path, &plan)?;
            let log = plan.container_dir.join(LOG);
            let log = (!manner.tied).then_some(log.as_path());
            spawn::supervisor(&self.installation.shim()?, &path, &lock, log)
        })();
        match spawned {
            Ok((connection, supervisor)) => Ok((Running { container, lock, supervisor }, connection)),
            Err(e) if new => Err(self.discard(&container, e)),
            Err(e) => {
                let end = end_of(&Exit { code: 125, oom_killed: false, error: Some(e.to_string()) });
                // What this leaves is found by the next reclaim.
                let _ = reclaim::release(&self.connection, &self.paths, &container, Some(end));
                Err(e)
            }
        }
    }

    /// Waits for the supervisor's end, writes down how the container ended, and releases everything. What could
    /// not be released is the second value: the next command tries again, and the container's end stands.
    pub fn finish(&self, running: Running, outcome: Outcome) -> (Exit, Result<()>) {
        let Running { container, lock, supervisor } = running;
        let silent = match wait_for(supervisor) {
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                format!("the supervisor of the container was killed by {signal}")
            }
            Ok(WaitStatus::Exited(_, code)) => {
                format!("the supervisor of the container ended with exit code {code}")
            }
            other => format!("the supervisor of the container is gone: {other:?}"),
        };
        let dir = self.paths.container(&container.id);
        let told = match outcome {
            Outcome::Exited(exit) => Some(exit),
            Outcome::StartFailed { message, exit_code } => {
                Some(Exit { code: exit_code, oom_killed: false, error: Some(message) })
            }
            Outcome::Lost => None,
        };
        // One that cannot be read is told by the release.
        let word = status::read(&dir).ok().flatten();
        let end = reclaim::last_word(word.as_ref(), Path::new(&container.run_dir), told.as_ref(), &silent);
        let exit = Exit { code: end.exit_code, oom_killed: end.oom_killed, error: end.error.clone() };
        let released = reclaim::release(&self.connection, &self.paths, &container, Some(end));
        drop(lock);
        (exit, released)
    }
}

impl Running {
    pub fn id(&self) -> &str {
        &self.container.id
    }
    pub fn container(&self) -> &Container {
        &self.container
    }
    /// Process id of the supervisor.
    pub fn supervisor(&self) -> Pid {
        self.supervisor
    }
}

fn wait_for(child: Pid) -> nix::Result<WaitStatus> {
    loop {
        match waitpid(child, None) {
            Err(nix::Error::EINTR) => {}
            other => return other,
        }
    }
}

/// Of a container that did not get a supervisor.
fn end_of(exit: &Exit) -> End {
    End {
        exit_code: exit.code,
        oom_killed: exit.oom_killed,
        error: exit.error.clone(),
        started_ns: None,
        finished_ns: realtime_ns(),
        stopped: false,
        never_ran: true,
    }
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_vec(value)
        .map_err(|source| Error::Json { what: path.display().to_string(), source })?;
    std::fs::write(path, json).map_err(Error::io("write", path))
}

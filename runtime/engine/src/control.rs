//! What is done to a running container without ending it: pause, new limits, and looks at its figures and processes.

use std::time::Duration;

use sandbox_shim::figures::{Processes, Usage};
use sandbox_shim::plan::Restart;
use sandbox_shim::wire::{Notice, Request, Update};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::isolation::{self, Host};
use crate::live::View;
use crate::request::Limits;
use crate::spec;
use crate::state::containers::{Container, State};

/// Figures that take longer are not worth waiting for.
const FIGURES: Duration = Duration::from_secs(2);
/// A guest has to be asked for its processes.
const PROCESSES: Duration = Duration::from_secs(10);

impl Engine {
    /// Freezes all processes of a container.
    pub fn pause(&self, container: &Container) -> Result<()> {
        let view = self.view(container.clone())?;
        if view.state() == "paused" {
            return Err(Error::invalid(format!("container {} is already paused", container.id)));
        }
        must_run(&view)?;
        self.tell(container, &Request::Pause)
    }

    /// Lets a paused container go on.
    pub fn unpause(&self, container: &Container) -> Result<()> {
        if self.view(container.clone())?.state() != "paused" {
            return Err(Error::invalid(format!("Container {} is not paused", container.id)));
        }
        self.tell(container, &Request::Resume)
    }

    /// Changes limits and restart policy; what is `None` stays.
    pub fn update(&self, container: &Container, limits: &Limits, restart: Option<Restart>) -> Result<()> {
        let failed = |e: Error| match e {
            Error::NotRunning(_) => e,
            e => Error::invalid(format!("Cannot update container {}: {e}", container.id)),
        };
        if container.state == State::Removing {
            return Err(failed(Error::invalid("Container is marked for removal and cannot be \"update\".")));
        }
        if container.auto_remove && restart.is_some_and(|policy| policy != Restart::No) {
            return Err(failed(Error::invalid(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            )));
        }
        let mut recipe = self.recipe(container)?;
        let request = &mut recipe.request;
        request.limits = merged(&request.limits, limits);
        request.restart = restart.unwrap_or(request.restart);
        let host = Host::look(&request.limits, &self.vm);
        isolation::check(request, &host).map_err(failed)?;
        if self.view(container.clone())?.is_running() {
            let limits = isolation::container_limits(request.isolation, &request.limits);
            let update = Update {
                resources: spec::limits(&limits),
                isolation: isolation::plan(request, &host, &self.installation).map_err(failed)?,
                restart: request.restart,
            };
            match self.tell(container, &Request::Update(Box::new(update))) {
                // It has just ended: the next start has the new ones.
                Ok(()) | Err(Error::NotRunning(_)) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        recipe.write(&self.paths.container(&container.id))
    }

    /// The processes of a running container.
    pub fn processes(&self, container: &Container) -> Result<Processes> {
        must_run(&self.view(container.clone())?)?;
        match self.ask_within(container, &Request::Processes, PROCESSES)? {
            Notice::Processes(processes) => Ok(*processes),
            _ => Err(unexpected()),
        }
    }

    /// What a running container uses.
    pub fn usage(&self, container: &Container) -> Result<Usage> {
        match self.ask_within(container, &Request::Stats, FIGURES)? {
            Notice::Stats(usage) => Ok(*usage),
            _ => Err(unexpected()),
        }
    }
}

/// Paused ones run, too.
fn must_run(view: &View) -> Result<()> {
    let id = &view.container.id;
    match view.state() {
        "running" | "paused" => Ok(()),
        "restarting" => {
            Err(Error::invalid(format!("Container {id} is restarting, wait until the container is running")))
        }
        _ => Err(Error::NotRunning(id.clone())),
    }
}

fn unexpected() -> Error {
    Error::invalid("the supervisor answered something else than it was asked")
}

/// `new` over `old`. A new limit on memory that the old one on memory and swap would contradict needs a new one of both,
/// which the checks say.
fn merged(old: &Limits, new: &Limits) -> Limits {
    Limits {
        memory: new.memory.or(old.memory),
        memory_swap: new.memory_swap.or(old.memory_swap),
        memory_reservation: new.memory_reservation.or(old.memory_reservation),
        nano_cpus: new.nano_cpus.or(old.nano_cpus),
        cpu_shares: new.cpu_shares.or(old.cpu_shares),
        cpuset_cpus: new.cpuset_cpus.clone().or_else(|| old.cpuset_cpus.clone()),
        cpuset_mems: new.cpuset_mems.clone().or_else(|| old.cpuset_mems.clone()),
        pids: new.pids.or(old.pids),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::{add, engine};
    use crate::recipe::Recipe;

    #[test]
    fn of_one_that_does_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        let container = add(&engine, "one", 1, &Recipe::default());
        let id = &container.id;
        assert_eq!(
            engine.pause(&container).unwrap_err().to_string(),
            format!("container {id} is not running")
        );
        assert_eq!(
            engine.unpause(&container).unwrap_err().to_string(),
            format!("Container {id} is not paused")
        );
        assert_eq!(
            engine.processes(&container).unwrap_err().to_string(),
            format!("container {id} is not running")
        );
        assert!(matches!(engine.usage(&container), Err(Error::NotRunning(_))));
    }

    #[test]
    fn what_is_not_said_stays() {
        let old = Limits { memory: Some(64 << 20), pids: Some(5), ..Limits::default() };
        let new = Limits { memory: Some(128 << 20), cpu_shares: Some(7), ..Limits::default() };
        let both = merged(&old, &new);
        assert_eq!((both.memory, both.pids, both.cpu_shares), (Some(128 << 20), Some(5), Some(7)));
    }

    #[test]
    fn what_is_new_is_kept_for_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        let container = add(&engine, "one", 1, &Recipe::default());
        engine.update(&container, &Limits::default(), Some(Restart::Always)).unwrap();
        assert_eq!(engine.recipe(&container).unwrap().request.restart, Restart::Always);
        engine.update(&container, &Limits::default(), None).unwrap();
        assert_eq!(engine.recipe(&container).unwrap().request.restart, Restart::Always);

        let wrong = Limits { memory: Some(1), ..Limits::default() };
        let text = engine.update(&container, &wrong, None).unwrap_err().to_string();
        assert!(text.starts_with(&format!("Cannot update container {}: ", container.id)), "{text}");
        let tied = Container { auto_remove: true, ..container };
        let text = engine.update(&tied, &Limits::default(), Some(Restart::Always)).unwrap_err().to_string();
        assert!(
            text.ends_with(
                "Restart policy cannot be updated because AutoRemove is enabled for the container"
            )
        );
    }
}

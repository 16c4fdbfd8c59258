//! What is done to a running container without ending it: pause, new limits, and looks at its figures and processes.

use std::time::Duration;

use sandbox_container::{MAX_PROCESSES, Processes};
use sandbox_shim::isolation::{Figures, Update};
use sandbox_shim::plan::{IsolationPlan, Restart};
use sandbox_shim::wire::{Notice, Request};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::isolation::{self, Host};
use crate::live::View;
use crate::request::{Limits, Request as Wanted};
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
            let changed = *limits != Limits::default();
            let update =
                if changed { Some(self.limits_of(request, limits, &host).map_err(failed)?) } else { None };
            let asked = update
                .map(|update| Request::Update(Box::new(update)))
                .into_iter()
                .chain(restart.map(|restart| Request::Policy { restart }));
            for request in asked {
                match self.tell(container, &request) {
                    // It has just ended: the next start has the new ones.
                    Ok(()) | Err(Error::NotRunning(_)) => {}
                    Err(e) => return Err(failed(e)),
                }
            }
        }
        recipe.write(&self.paths.container(&container.id))
    }

    /// What a running container is told of its new limits: the machine around it only where that follows.
    fn limits_of(&self, request: &Wanted, changed: &Limits, host: &Host) -> Result<Update> {
        let limits = isolation::container_limits(request.isolation, &request.limits);
        let mut update = Update { container: spec::limits(&limits), ..Update::default() };
        if let IsolationPlan::Vm(plan) = isolation::plan(request, host, &self.installation)? {
            update.monitor = plan.resources;
            update.memory_mib = changed.memory.is_some().then_some(plan.memory_mib);
        }
        Ok(update)
    }

    /// The processes of a running container.
    pub fn processes(&self, container: &Container) -> Result<Processes> {
        must_run(&self.view(container.clone())?)?;
        let mut asked = self.asked_within(container, &Request::Processes, PROCESSES)?;
        let mut all: Option<Processes> = None;
        loop {
            match asked.next()? {
                Some(Notice::Processes(part)) => match &mut all {
                    None => all = Some(part),
                    Some(all) if all.list.len() < MAX_PROCESSES => all.list.extend(part.list),
                    Some(all) => all.more = true,
                },
                Some(Notice::Done) => return Ok(all.unwrap_or_default().bounded()),
                Some(_) => return Err(unexpected()),
                None => return Err(Error::NotRunning(container.id.clone())),
            }
        }
    }

    /// What a running container uses.
    pub fn figures(&self, container: &Container) -> Result<Figures> {
        match self.asked_within(container, &Request::Stats, FIGURES)?.next()? {
            Some(Notice::Stats(figures)) => Ok(*figures),
            Some(_) => Err(unexpected()),
            None => Err(Error::NotRunning(container.id.clone())),
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
        cpu_period: new.cpu_period.or(old.cpu_period),
        cpu_quota: new.cpu_quota.or(old.cpu_quota),
        block_io: if new.block_io.is_asked() { new.block_io.clone() } else { old.block_io.clone() },
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
        assert!(matches!(engine.figures(&container), Err(Error::NotRunning(_))));
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

//! A running container in its microVM: everything goes through the agent, and where that fails, to the machine.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use sandbox_container::Processes;
use sandbox_container::archive::Archive;
use sandbox_protocol::{self as protocol, FdStream, request};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::agent::Agent;
use super::monitor::{Death, Monitor};
use super::patience::Patience;
use super::pause::Paused;
use super::streams::StreamListener;
use super::{json, pid};
use crate::cgroup;
use crate::isolation::{Exec, Failure, Figures, Process, Running, Update};
use crate::plan::Plan;
use crate::wire::Exit;

/// How long killing by the agent may take before the machine is turned off instead.
const KILL: Duration = Duration::from_secs(5);
/// How long the container may take to end after the agent has killed it, before the machine is turned off.
const DEATH: Duration = Duration::from_secs(10);
/// How long writing back the guest's caches may take.
const SYNC: Duration = Duration::from_mins(2);
/// How long a guest without its agent may take to end by itself, with its reasons on its console.
const LOST: Duration = Duration::from_secs(2);

/// See the module. Dropping it without [`Running::stop`] kills the machine.
#[derive(Debug)]
pub struct VmContainer {
    pub(super) id: String,
    pub(super) cgroup: Option<PathBuf>,
    /// RAM that the machine was booted with, MiB.
    pub(super) memory_mib: u64,
    pub(super) monitor: Rc<Monitor>,
    pub(super) agent: Rc<Agent>,
    pub(super) streams: StreamListener,
    pub(super) patience: Patience,
    /// While it is paused, or about to be.
    pub(super) paused: RefCell<Option<Paused>>,
    /// What the balloon shall hold, MiB.
    pub(super) balloon: Cell<u64>,
    /// Waits for the guest before the monitor gets less memory.
    pub(super) lowering: RefCell<Option<JoinHandle<()>>>,
    /// Why the machine was killed for want of an agent, if it was.
    lost: Rc<RefCell<Option<String>>>,
}

impl Drop for VmContainer {
    fn drop(&mut self) {
        self.lowering.take().inspect(JoinHandle::abort);
        self.monitor.kill();
    }
}

impl VmContainer {
    /// Takes over a machine whose agent has connected.
    pub(super) fn new(
        plan: &Plan,
        memory_mib: u64,
        monitor: Monitor,
        connection: FdStream,
        patience: Patience,
        streams: StreamListener,
    ) -> Self {
        let monitor = Rc::new(monitor);
        let lost = Rc::new(RefCell::new(None));
        let agent = {
            let (monitor, lost) = (Rc::clone(&monitor), Rc::clone(&lost));
            Rc::new(Agent::new(connection, patience.clone(), move |reason| {
                tokio::task::spawn_local(async move {
                    if timeout(LOST, monitor.died()).await.is_err() {
                        *lost.borrow_mut() = Some(reason);
                        monitor.kill();
                    }
                });
            }))
        };
        let container = Self {
            id: plan.id.clone(),
            cgroup: plan.cgroup.clone(),
            memory_mib,
            monitor,
            agent,
            streams,
            patience,
            paused: RefCell::new(None),
            balloon: Cell::new(0),
            lowering: RefCell::new(None),
            lost,
        };
        container.report_death();
        container
    }

    /// A machine that dies ends every process in it.
    fn report_death(&self) {
        let (monitor, agent, lost) =
            (Rc::clone(&self.monitor), Rc::clone(&self.agent), Rc::clone(&self.lost));
        tokio::task::spawn_local(async move {
            let death = cause(monitor.died().await, &lost);
            agent.end_all(&Exit { code: death.exit_code(), oom_killed: false, error: Some(death.reason) });
        });
    }

    /// Awaits `work`, but for no longer than the machine lives; its death is then the failure.
    pub(super) async fn unless_dead<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let result = tokio::select! {
            biased;
            result = work => result,
            death = self.monitor.died() => return Err(Failure::engine(cause(death, &self.lost).reason)),
        };
        if result.is_err() && self.agent.is_lost() {
            // The connection breaks before the monitor has said why.
            return Err(Failure::engine(cause(self.monitor.died().await, &self.lost).reason));
        }
        result
    }
}

/// What the monitor says, unless it was us who killed it for want of an agent.
fn cause(death: Death, lost: &RefCell<Option<String>>) -> Death {
    match &*lost.borrow() {
        Some(lost) => Death { reason: format!("lost the agent in the guest: {lost}"), signal: None },
        None => death,
    }
}

impl Running for VmContainer {
    async fn exec(&self, request: Exec) -> Result<Process, Failure> {
        let Exec { name, process, user, extra_groups, stdio } = request;
        if self.paused.borrow().is_some() {
            return Err(Failure::engine(format!(
                "Container {} is paused, unpause the container before exec",
                self.id
            )));
        }
        if name.is_empty() || self.agent.expects(&name) {
            return Err(Failure::engine(format!("the name {name:?} of the new process is empty or taken")));
        }
        let (stdio, expected) = self.streams.expect(stdio)?;
        let body = request::Body::Exec(protocol::Exec {
            container: self.id.clone(),
            exec: name.clone(),
            process: json(&process)?,
            stdio: Some(stdio),
            user,
            extra_groups,
        });
        let exited = self.agent.exited(&name);
        let begin = async {
            let pid = pid(&self.agent.request(body).await?);
            Ok((pid, expected.open().await?))
        };
        match self.unless_dead(begin).await {
            Ok((pid, streams)) => Ok(Process { pid, streams, exited }),
            Err(failure) => {
                self.agent.forget(&name);
                Err(failure)
            }
        }
    }

    async fn signal(&self, process: &str, signal: i32) -> Result<(), Failure> {
        if !self.agent.expects(process) {
            return Ok(());
        }
        if signal == libc::SIGKILL && process.is_empty() && self.paused.borrow().is_some() {
            self.kill().await;
            return Ok(());
        }
        let (container, exec) = (self.id.clone(), process.to_owned());
        let body = protocol::Signal { container, exec, signal, all: false };
        self.tell(request::Body::Signal(body)).await
    }

    async fn kill(&self) {
        let body = protocol::Signal {
            container: self.id.clone(),
            exec: String::new(),
            signal: libc::SIGKILL,
            all: true,
        };
        let killed = timeout(KILL, self.kill_by_agent(request::Body::Signal(body))).await;
        if !matches!(killed, Ok(Ok(_))) {
            self.monitor.kill();
            return;
        }
        // A process can wait in the guest's kernel for the host in a way that not even SIGKILL ends.
        let (agent, monitor) = (Rc::clone(&self.agent), Rc::clone(&self.monitor));
        let patience = self.patience.clone();
        tokio::task::spawn_local(async move {
            patience.pass(DEATH).await;
            if agent.expects("") {
                monitor.kill();
            }
        });
    }

    async fn resize(&self, process: &str, rows: u16, cols: u16) -> Result<(), Failure> {
        let (container, exec) = (self.id.clone(), process.to_owned());
        let body = protocol::Resize { container, exec, rows: rows.into(), cols: cols.into() };
        self.tell(request::Body::Resize(body)).await
    }

    async fn pause(&self) -> Result<(), Failure> {
        self.pause_machine().await
    }

    async fn resume(&self) -> Result<(), Failure> {
        self.resume_machine().await
    }

    async fn update(&self, update: &Update) -> Result<(), Failure> {
        self.change_limits(update).await
    }

    async fn processes(&self) -> Result<Processes, Failure> {
        self.listed().await
    }

    async fn stats(&self) -> Result<Figures, Failure> {
        let container = self.usage().await?;
        Ok(Figures { container, host: self.cgroup.as_deref().and_then(cgroup::stats) })
    }

    async fn archive(&self, name: String, request: Archive) -> Result<Process, Failure> {
        self.copy(name, request).await
    }

    async fn sync(&self) -> Result<(), Failure> {
        // It was done before a pause, and since then nobody wrote.
        match self.paused.borrow().as_ref().map(|paused| paused.written) {
            None => {}
            Some(true) => return Ok(()),
            Some(false) => {
                return Err(Failure::engine(format!(
                    "Container {} was paused before its guest had written back its files: unpause it first",
                    self.id
                )));
            }
        }
        let sync = self.unless_dead(self.agent.request(request::Body::Sync(protocol::Sync {})));
        match timeout(SYNC, sync).await {
            Ok(result) => result.map(drop),
            Err(_) => Err(Failure::engine(format!("the guest did not write back its files within {SYNC:?}"))),
        }
    }

    async fn stop(self, durable: bool) -> Result<(), Failure> {
        // One that cannot be woken is stopped as it is.
        let _ = self.wake().await;
        let synced = if durable { self.sync().await } else { Ok(()) };
        self.monitor.stop().await;
        if let Some(cgroup) = &self.cgroup {
            cgroup::reclaim(cgroup)?;
        }
        synced
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;

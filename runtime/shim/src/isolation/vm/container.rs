//! A running container in its microVM: everything goes through the agent, and where that fails, to the machine.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use sandbox_container::Stats;
use sandbox_container::archive::Archive;
use sandbox_protocol::{self as protocol, FdStream, message, request};
use tokio::time::timeout;

use super::agent::Agent;
use super::monitor::{Death, Monitor};
use super::streams::StreamListener;
use super::{json, pid};
use crate::cgroup;
use crate::isolation::{Exec, Failure, Process, Running};
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
    cgroup: Option<PathBuf>,
    pub(super) monitor: Rc<Monitor>,
    pub(super) agent: Rc<Agent>,
    pub(super) streams: StreamListener,
    /// Why the machine was killed for want of an agent, if it was.
    lost: Rc<RefCell<Option<String>>>,
}

impl Drop for VmContainer {
    fn drop(&mut self) {
        self.monitor.kill();
    }
}

impl VmContainer {
    /// Takes over a machine whose agent has connected.
    pub(super) fn new(
        plan: &Plan,
        monitor: Monitor,
        connection: FdStream,
        patience: Duration,
        streams: StreamListener,
    ) -> Self {
        let monitor = Rc::new(monitor);
        let lost = Rc::new(RefCell::new(None));
        let agent = {
            let (monitor, lost) = (Rc::clone(&monitor), Rc::clone(&lost));
            Rc::new(Agent::new(connection, patience, move |reason| {
                tokio::task::spawn_local(async move {
                    if timeout(LOST, monitor.died()).await.is_err() {
                        *lost.borrow_mut() = Some(reason);
                        monitor.kill();
                    }
                });
            }))
        };
        let container =
            Self { id: plan.id.clone(), cgroup: plan.cgroup.clone(), monitor, agent, streams, lost };
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

    async fn request(&self, body: request::Body) -> Result<message::Body, Failure> {
        self.unless_dead(self.agent.request(body)).await
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
        let (container, exec) = (self.id.clone(), process.to_owned());
        let body = protocol::Signal { container, exec, signal, all: false };
        self.request(request::Body::Signal(body)).await.map(drop)
    }

    async fn kill(&self) {
        let body = protocol::Signal {
            container: self.id.clone(),
            exec: String::new(),
            signal: libc::SIGKILL,
            all: true,
        };
        let killed = timeout(KILL, self.request(request::Body::Signal(body))).await;
        if !matches!(killed, Ok(Ok(_))) {
            self.monitor.kill();
            return;
        }
        // A process can wait in the guest's kernel for the host in a way that not even SIGKILL ends.
        let (agent, monitor) = (Rc::clone(&self.agent), Rc::clone(&self.monitor));
        tokio::task::spawn_local(async move {
            tokio::time::sleep(DEATH).await;
            if agent.expects("") {
                monitor.kill();
            }
        });
    }

    async fn resize(&self, process: &str, rows: u16, cols: u16) -> Result<(), Failure> {
        let (container, exec) = (self.id.clone(), process.to_owned());
        let body = protocol::Resize { container, exec, rows: rows.into(), cols: cols.into() };
        self.request(request::Body::Resize(body)).await.map(drop)
    }

    async fn stats(&self) -> Result<Stats, Failure> {
        let body = protocol::StatsRequest { container: self.id.clone() };
        match self.request(request::Body::Stats(body)).await? {
            message::Body::Stats(stats) => Ok(of_guest(&stats)),
            _ => Err(Failure::engine("the agent in the guest answered something else than was asked")),
        }
    }

    async fn archive(&self, name: String, request: Archive) -> Result<Process, Failure> {
        self.copy(name, request).await
    }

    async fn sync(&self) -> Result<(), Failure> {
        let sync = self.request(request::Body::Sync(protocol::Sync {}));
        match timeout(SYNC, sync).await {
            Ok(result) => result.map(drop),
            Err(_) => Err(Failure::engine(format!("the guest did not write back its files within {SYNC:?}"))),
        }
    }

    async fn stop(self, durable: bool) -> Result<(), Failure> {
        let synced = if durable { self.sync().await } else { Ok(()) };
        self.monitor.stop().await;
        if let Some(cgroup) = &self.cgroup {
            cgroup::reclaim(cgroup)?;
        }
        synced
    }
}

fn of_guest(stats: &protocol::Stats) -> Stats {
    Stats {
        cpu_usage_usec: stats.cpu_usage_us,
        cpu_user_usec: stats.cpu_user_us,
        cpu_system_usec: stats.cpu_system_us,
        cpu_throttled_periods: stats.cpu_throttled_periods,
        cpu_throttled_usec: stats.cpu_throttled_us,
        memory_current: stats.memory_bytes,
        memory_peak: stats.memory_peak_bytes,
        memory_limit: stats.memory_limit_bytes,
        memory_inactive_file: stats.memory_inactive_file_bytes,
        memory_anon: stats.memory_anon_bytes,
        swap_current: stats.swap_bytes,
        oom_kills: stats.oom_kills,
        pids_current: stats.pids,
        pids_limit: stats.pids_limit,
        io_read_bytes: stats.io_read_bytes,
        io_write_bytes: stats.io_write_bytes,
    }
}

//! The containers of this guest and the requests about them, done by the container core.

mod archive;

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::termios::{Winsize, tcsetwinsize};
use sandbox_container::{Container, CreateOptions, Process};
use sandbox_protocol as protocol;
use tokio::sync::mpsc;

use crate::server::Refusal;
use crate::stdio::{self, Terminal};
use crate::{exits, mounts, user};

/// A process of a container that exec made.
#[derive(Debug)]
struct Exec {
    process: Process,
    terminal: Option<Terminal>,
}

#[derive(Debug)]
struct Entry {
    container: Container,
    terminal: Option<Terminal>,
    execs: HashMap<String, Exec>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Containers {
    table: RefCell<HashMap<String, Entry>>,
    events: mpsc::Sender<protocol::Message>,
}

impl Containers {
    /// None yet; ends of processes are told through `events`.
    pub(crate) fn new(events: mpsc::Sender<protocol::Message>) -> Self {
        Self { table: RefCell::default(), events }
    }

    pub(crate) fn create(self: &Rc<Self>, request: protocol::Create) -> Result<i32, Refusal> {
        let id = request.container;
        let mut table = self.table.borrow_mut();
        if table.contains_key(&id) {
            return Err(Refusal::Text(format!("container {id} exists already in this microVM")));
        }
        let mut spec: Spec = serde_json::from_slice(&request.spec)
            .map_err(|error| format!("parse the container's OCI specification: {error}"))?;
        let root = spec.root().as_ref().map_or_else(PathBuf::new, |root| root.path().clone());
        if let Some(process) = spec.process_mut() {
            let rootfs = open_directory(&root)?;
            user::apply(process, &rootfs, &request.user, &request.extra_groups)?;
        }
        let (core_stdio, ours) = stdio::prepare(request.stdio.unwrap_or_default())
            .map_err(|error| format!("prepare the container's streams: {error}"))?;
        let bundle = root.parent().unwrap_or(Path::new("/"));
        let mut options = CreateOptions::new(&id, &spec, bundle);
        options.cgroup = Some(mounts::CGROUPS.into());
        options.stdio = core_stdio;
        options.init = request.init;
        options.own_kernel = true;
        let mut container = sandbox_container::create(options)?;
        let pid = container.pid().as_raw_nonzero().get();
        let master = container.terminal();
        let watched =
            exits::watch(self, id.clone(), String::new(), container.pidfd()).and_then(|()| ours.run(master));
        match watched {
            Ok(terminal) => {
                table.insert(id, Entry { container, terminal, execs: HashMap::new() });
                Ok(pid)
            }
            Err(error) => {
                container.delete()?;
                Err(Refusal::Text(format!("connect the container's streams: {error}")))
            }
        }
    }

    pub(crate) fn start(&self, id: &str) -> Result<i32, Refusal> {
        let mut table = self.table.borrow_mut();
        let entry = entry(&mut table, id)?;
        entry.container.start()?;
        // The container's own programs are another matter.
        mounts::compile_bpf(true).map_err(|error| format!("have BPF programs compiled: {error}"))?;
        Ok(entry.container.pid().as_raw_nonzero().get())
    }

    pub(crate) fn exec(self: &Rc<Self>, request: protocol::Exec) -> Result<i32, Refusal> {
        let mut table = self.table.borrow_mut();
        let entry = entry(&mut table, &request.container)?;
        if request.exec.is_empty() || entry.execs.contains_key(&request.exec) {
            return Err(Refusal::Text(format!(
                "the name {:?} of the new process is empty or taken",
                request.exec
            )));
        }
        let mut process = serde_json::from_slice(&request.process)
            .map_err(|error| format!("parse the OCI description of the process: {error}"))?;
        user::apply(&mut process, &entry.container.rootfs()?, &request.user, &request.extra_groups)?;
        let (core_stdio, ours) = stdio::prepare(request.stdio.unwrap_or_default())
            .map_err(|error| format!("prepare the streams of the process: {error}"))?;
        let mut process = entry.container.exec(&process, core_stdio)?;
        let pid = process.pid().as_raw_nonzero().get();
        let master = process.terminal();
        let watched = exits::watch(self, request.container, request.exec.clone(), process.pidfd())
            .and_then(|()| ours.run(master));
        match watched {
            Ok(terminal) => {
                entry.execs.insert(request.exec, Exec { process, terminal });
                Ok(pid)
            }
            Err(error) => {
                process.signal(Signal::KILL)?;
                process.wait()?;
                Err(Refusal::Text(format!("connect the streams of the process: {error}")))
            }
        }
    }

    pub(crate) fn signal(&self, request: &protocol::Signal) -> Result<(), Refusal> {
        let mut table = self.table.borrow_mut();
        let entry = entry(&mut table, &request.container)?;
        if request.all {
            return Ok(entry.container.kill_all()?);
        }
        let signal = Signal::from_named_raw(request.signal)
            .ok_or_else(|| format!("invalid signal: {}", request.signal))?;
        if request.exec.is_empty() {
            return Ok(entry.container.signal(signal)?);
        }
        Ok(exec(entry, &request.exec)?.process.signal(signal)?)
    }

    pub(crate) fn resize(&self, request: &protocol::Resize) -> Result<(), Refusal> {
        let mut table = self.table.borrow_mut();
        let entry = entry(&mut table, &request.container)?;
        let terminal =
            if request.exec.is_empty() { &entry.terminal } else { &exec(entry, &request.exec)?.terminal };
        let Some(terminal) = terminal else {
            return Err(Refusal::Text("the process has no terminal".into()));
        };
        let clamp = |size| u16::try_from(size).unwrap_or(u16::MAX);
        let size =
            Winsize { ws_row: clamp(request.rows), ws_col: clamp(request.cols), ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&terminal.master, size).map_err(|error| format!("resize the terminal: {error}"))?)
    }

    /// Asks a container that runs.
    pub(crate) fn with<T>(
        &self,
        id: &str,
        ask: impl FnOnce(&Container) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        ask(&entry(&mut self.table.borrow_mut(), id)?.container)
    }

    /// Idempotent: one that is not there is deleted already.
    pub(crate) fn delete(&self, id: &str) -> Result<(), Refusal> {
        let removed = self.table.borrow_mut().remove(id);
        Ok(removed.map_or(Ok(()), |entry| entry.container.delete())?)
    }

    /// Reaps a process that has ended; `None` if it has not, or is gone already.
    pub(crate) fn ended(&self, id: &str, exec: &str) -> Option<protocol::Exited> {
        let mut table = self.table.borrow_mut();
        let entry = table.get_mut(id)?;
        let status = if exec.is_empty() {
            let status = entry.container.try_wait().ok().flatten()?;
            entry.terminal = None;
            status
        } else {
            let status = entry.execs.get(exec)?.process.try_wait().ok().flatten()?;
            entry.execs.remove(exec);
            status
        };
        Some(protocol::Exited {
            container: id.to_owned(),
            exec: exec.to_owned(),
            code: status.code().clamp(0, 255) as u32,
            oom_killed: entry.container.oom_killed(),
        })
    }

    /// Whether `pid` is a child that [`Containers::ended`] will reap.
    pub(crate) fn owns(&self, pid: i32) -> bool {
        let is = |other: rustix::process::Pid| other.as_raw_nonzero().get() == pid;
        self.table
            .borrow()
            .values()
            .any(|entry| is(entry.container.pid()) || entry.execs.values().any(|exec| is(exec.process.pid())))
    }

    /// Tells the host, waiting while too much is untold.
    pub(crate) async fn tell(&self, event: protocol::Exited) {
        let body = Some(protocol::message::Body::Exited(event));
        // The receiver lives as long as the agent.
        let _ = self.events.send(protocol::Message { id: 0, body }).await;
    }
}

fn entry<'a>(table: &'a mut HashMap<String, Entry>, id: &str) -> Result<&'a mut Entry, Refusal> {
    table.get_mut(id).ok_or_else(|| Refusal::Text(format!("no container {id} in this microVM")))
}

fn exec<'a>(entry: &'a Entry, name: &str) -> Result<&'a Exec, Refusal> {
    entry.execs.get(name).ok_or_else(|| Refusal::Text(format!("no process {name:?} in the container")))
}

fn open_directory(path: &Path) -> Result<OwnedFd, String> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("open the root file system {}: {error}", path.display()))
}

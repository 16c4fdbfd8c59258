//! The container as processes of this host: the container core, called here.

mod archive;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use oci_spec::runtime as oci;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};
use sandbox_container::archive::Archive;
use sandbox_container::{self as core, Container, CreateOptions, ExitStatus, Freezing, Processes};
use sandbox_protocol::FdStream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::{Exec, Failure, Figures, Isolation, Process, Running, Start, Stdio, Streams, Update, lenders};
use crate::wire::Exit;
use crate::{rootfs, user};

/// Name of the root file system's mount point in the run directory.
pub const ROOTFS: &str = "rootfs";

/// How long the kernel may take to freeze every process; only those that hang in it take long.
const FREEZE: Duration = Duration::from_secs(10);

/// `--isolation=process`.
#[derive(Debug, Default)]
pub struct ProcessIsolation;

impl Isolation for ProcessIsolation {
    type Running = ProcessContainer;

    async fn start(self, start: Start<'_>) -> Result<(Self::Running, Process), Failure> {
        let Start { plan, rootfs: overlay, stamps } = start;
        let root = plan.run_dir.join(ROOTFS);
        match rustix::fs::mkdir(&root, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Failure::engine(format!("make {}: {error}", root.display()))),
        }
        rootfs::attach(&overlay, &root)?;
        let mut spec = prepare_spec(plan, &root)?;
        let borrowed = lenders::join(plan, &mut spec)?;
        let (core_stdio, mut ours) = Pipes::make(Stdio::of(plan)).map_err(|error| streams_failed(&error))?;
        let mut options = CreateOptions::new(&plan.id, &spec, &plan.run_dir);
        options.cgroup = plan.cgroup.as_ref().and_then(|cgroup| cgroup.parent()).map(Into::into);
        options.stdio = core_stdio;
        options.die_with_parent = true;
        options.init = plan.init;
        let mut container = core::create(options)?;
        drop(borrowed);
        stamps.mark("init_cloned");
        ours.terminal = container.terminal();
        let started = container.start();
        stamps.mark("pivoted");
        let shared =
            Rc::new(RefCell::new(State { container, terminals: HashMap::new(), processes: HashMap::new() }));
        let process = started
            .map_err(Failure::from)
            .and_then(|()| ours.run().map_err(|error| streams_failed(&error)))
            .and_then(|(streams, terminal)| {
                watch(&shared, String::new(), streams, terminal).map_err(|error| streams_failed(&error))
            });
        let running = ProcessContainer(shared);
        match process {
            Ok(process) => Ok((running, process)),
            Err(failure) => {
                // What made the start fail is what the user wants to know.
                let _ = running.stop(false).await;
                Err(failure)
            }
        }
    }
}

fn streams_failed(error: &io::Error) -> Failure {
    Failure::engine(format!("connect the streams of the container: {error}"))
}

fn prepare_spec(plan: &crate::plan::Plan, root: &std::path::Path) -> Result<oci::Spec, Failure> {
    let mut spec = plan.spec.clone();
    let mut spec_root = spec.root().clone().unwrap_or_default();
    spec_root.set_path(root.to_owned());
    spec.set_root(Some(spec_root));
    if let Some(process) = spec.process_mut() {
        let directory: OwnedFd =
            rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| Failure::engine(format!("open {}: {error}", root.display())))?;
        user::apply(process, directory.as_fd(), &plan.user, &plan.extra_groups)?;
    }
    Ok(spec)
}

/// Our ends of the streams of a process in the making.
#[derive(Debug, Default)]
struct Pipes {
    terminal: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    outputs: Option<(OwnedFd, OwnedFd)>,
}

/// A terminal's master for resizes, and its slave, which keeps it from reporting its end while the process lives and
/// merely has it closed.
#[derive(Debug)]
struct Terminal {
    master: FdStream,
    _slave: Option<OwnedFd>,
}

impl Pipes {
    fn make(stdio: Stdio) -> io::Result<(core::Stdio, Self)> {
        if let Some((rows, cols)) = stdio.terminal {
            return Ok((core::Stdio::Terminal { rows, cols }, Self::default()));
        }
        let (stdin, our_stdin) = if stdio.stdin {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            (Some(reader), Some(writer))
        } else {
            (None, None)
        };
        let (our_stdout, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (our_stderr, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let ours = Self { terminal: None, stdin: our_stdin, outputs: Some((our_stdout, our_stderr)) };
        Ok((core::Stdio::Pipes { stdin, stdout, stderr }, ours))
    }

    fn run(self) -> io::Result<(Streams, Option<Terminal>)> {
        match (self.outputs, self.terminal) {
            (Some((stdout, stderr)), _) => {
                let input = self.stdin.map(FdStream::new).transpose()?;
                let streams =
                    Streams { input, output: FdStream::new(stdout)?, error: Some(FdStream::new(stderr)?) };
                Ok((streams, None))
            }
            (None, Some(master)) => {
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).ok();
                let master = FdStream::new(master)?;
                let streams = Streams { input: Some(master.clone()), output: master.clone(), error: None };
                Ok((streams, Some(Terminal { master, _slave: slave })))
            }
            (None, None) => Err(io::Error::other("the container core made no terminal")),
        }
    }
}

#[derive(Debug)]
struct State {
    container: Container,
    /// By the name of their process.
    terminals: HashMap<String, Terminal>,
    processes: HashMap<String, core::Process>,
}

impl State {
    /// Reaps `name` if it has ended.
    fn ended(&mut self, name: &str) -> Option<Exit> {
        let status =
            if name.is_empty() { self.container.try_wait() } else { self.processes.get(name)?.try_wait() };
        let exit = match status {
            Ok(None) => return None,
            Ok(Some(status)) => {
                Exit { code: code(status), oom_killed: self.container.oom_killed(), error: None }
            }
            Err(error) => Exit {
                code: core::EXIT_ENGINE,
                oom_killed: false,
                error: Some(format!("lost the process: {error}")),
            },
        };
        self.terminals.remove(name);
        self.processes.remove(name);
        Some(exit)
    }
}

fn code(status: ExitStatus) -> u8 {
    u8::try_from(status.code()).unwrap_or(core::EXIT_ENGINE)
}

/// Reports the end of process `name`, and keeps its terminal until then.
fn watch(
    state: &Rc<RefCell<State>>,
    name: String,
    streams: Streams,
    terminal: Option<Terminal>,
) -> io::Result<Process> {
    let mut borrowed = state.borrow_mut();
    let (pid, pidfd) = match borrowed.processes.get(&name) {
        Some(process) => (process.pid(), process.pidfd()),
        None => (borrowed.container.pid(), borrowed.container.pidfd()),
    };
    let pidfd: OwnedFd = pidfd.try_clone_to_owned()?;
    // SAFETY: an `OwnedFd` keeps its descriptor open until it is dropped, and nothing replaces it in there.
    let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
    if let Some(terminal) = terminal {
        borrowed.terminals.insert(name.clone(), terminal);
    }
    drop(borrowed);
    let (sender, exited) = oneshot::channel();
    let state = Rc::downgrade(state);
    tokio::task::spawn_local(async move {
        while let Ok(mut ready) = pidfd.readable().await {
            let Some(state) = state.upgrade() else { return };
            if let Some(exit) = state.borrow_mut().ended(&name) {
                // A receiver that is gone does not want to know.
                let _ = sender.send(exit);
                return;
            }
            ready.clear_ready();
        }
    });
    Ok(Process { pid: pid.as_raw_nonzero().get(), streams, exited })
}

/// Waits until every process stands still.
async fn frozen(freezing: Freezing) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::engine(format!("watch the container's cgroup: {error}"));
    // SAFETY: a `Freezing` keeps its descriptor open until it is dropped, and nothing replaces it in there.
    let freezing = unsafe { AsyncFd::register_with_interest(freezing, Interest::PRIORITY) }
        .map_err(|error| failed(error.into()))?;
    while !freezing.get_ref().is_done()? {
        let mut changed = freezing.ready(Interest::PRIORITY).await.map_err(failed)?;
        changed.clear_ready();
    }
    Ok(())
}

/// A running container of this host.
#[derive(Debug)]
pub struct ProcessContainer(Rc<RefCell<State>>);

impl Running for ProcessContainer {
    async fn exec(&self, request: Exec) -> Result<Process, Failure> {
        let Exec { name, mut process, user, extra_groups, stdio } = request;
        let (core_stdio, mut ours) = Pipes::make(stdio).map_err(|error| streams_failed(&error))?;
        {
            let mut state = self.0.borrow_mut();
            if name.is_empty() || state.processes.contains_key(&name) {
                return Err(Failure::engine(format!(
                    "the name {name:?} of the new process is empty or taken"
                )));
            }
            user::apply(&mut process, state.container.rootfs()?.as_fd(), &user, &extra_groups)?;
            let mut child = state.container.exec(&process, core_stdio)?;
            ours.terminal = child.terminal();
            state.processes.insert(name.clone(), child);
        }
        let watched =
            ours.run().and_then(|(streams, terminal)| watch(&self.0, name.clone(), streams, terminal));
        watched.map_err(|error| {
            if let Some(child) = self.0.borrow_mut().processes.remove(&name) {
                let _ = child.signal(Signal::KILL);
                let _ = child.wait();
            }
            streams_failed(&error)
        })
    }

    async fn signal(&self, process: &str, signal: i32) -> Result<(), Failure> {
        let signal = Signal::from_named_raw(signal)
            .ok_or_else(|| Failure::engine(format!("invalid signal: {signal}")))?;
        let state = self.0.borrow();
        if process.is_empty() {
            return Ok(state.container.signal(signal)?);
        }
        Ok(state.processes.get(process).map_or(Ok(()), |process| process.signal(signal))?)
    }

    async fn kill(&self) {
        let state = self.0.borrow();
        if state.container.kill_all().is_err() {
            // The init's PID namespace dies with it.
            let _ = state.container.signal(Signal::KILL);
        }
    }

    async fn resize(&self, process: &str, rows: u16, cols: u16) -> Result<(), Failure> {
        match self.0.borrow().terminals.get(process) {
            None => Err(Failure::engine("the process has no terminal")),
            Some(terminal) => {
                let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
                tcsetwinsize(&terminal.master, size)
                    .map_err(|error| Failure::engine(format!("resize the terminal: {error}")))
            }
        }
    }

    async fn pause(&self) -> Result<(), Failure> {
        let freezing = self.0.borrow().container.begin_pause()?;
        let failure = match tokio::time::timeout(FREEZE, frozen(freezing)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::engine(format!(
                "cannot pause the container: its processes did not stop within {FREEZE:?}; one hangs in the kernel"
            )),
        };
        self.0.borrow().container.cancel_pause()?;
        Err(failure)
    }

    async fn resume(&self) -> Result<(), Failure> {
        Ok(self.0.borrow().container.resume()?)
    }

    async fn update(&self, update: &Update) -> Result<(), Failure> {
        Ok(self.0.borrow().container.update(&update.container)?)
    }

    async fn processes(&self) -> Result<Processes, Failure> {
        Ok(self.0.borrow().container.list_processes(0, core::MAX_PROCESSES)?)
    }

    async fn stats(&self) -> Result<Figures, Failure> {
        let state = self.0.borrow();
        let mut container = state.container.usage()?;
        if state.container.shares_network() {
            // They are this host's.
            container.interfaces.clear();
        }
        Ok(Figures { container, host: None })
    }

    async fn archive(&self, name: String, request: Archive) -> Result<Process, Failure> {
        archive::start(self, &name, &request)
    }

    async fn sync(&self) -> Result<(), Failure> {
        // Its files are the host's.
        Ok(())
    }

    async fn stop(self, _durable: bool) -> Result<(), Failure> {
        match Rc::try_unwrap(self.0) {
            Ok(state) => Ok(state.into_inner().container.delete()?),
            Err(_) => Err(Failure::engine("the container is still in use")),
        }
    }
}

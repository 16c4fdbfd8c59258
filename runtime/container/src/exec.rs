//! Another process in a container that runs.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{self as oci, LinuxNamespaceType as Type};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::create::{console_size, hand_over};
use crate::error::{Context, Error};
use crate::init::credentials::become_root;
use crate::init::mounts::open_host_proc;
use crate::init::prepare::{control, hide_memory};
use crate::init::process::{Gateway, Tail};
use crate::init::stdio::{self, ChildStdio};
use crate::init::terminal::Terminal;
use crate::limits;
use crate::options::Stdio;
use crate::plan::process::ProcessPlan;
use crate::process::Process;
use crate::seccomp::{self, notify};
use crate::spawn::spawn_beside;
use crate::sync::{Channel, Message};
use crate::sys;
use crate::sys::signals;

/// What every process of a container shares, kept from its spec.
#[derive(Clone, Debug)]
pub(crate) struct ExecProfile {
    pub(crate) seccomp: Option<oci::LinuxSeccomp>,
    personality: Option<oci::LinuxPersonality>,
    /// CLONE_NEW* of the namespaces that are not the host's.
    namespaces: i32,
    /// Its PID namespace is new: what is in it dies with the init.
    own_pids: bool,
}

impl ExecProfile {
    pub(crate) fn new(spec: &oci::Spec) -> Self {
        let linux = spec.linux().as_ref();
        let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
        let own_pids = |namespace: &oci::LinuxNamespace| {
            let joined = namespace.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty());
            namespace.typ() == Type::Pid && !joined
        };
        ExecProfile {
            own_pids: namespaces.iter().any(own_pids),
            seccomp: linux.and_then(|linux| linux.seccomp().clone()),
            personality: linux.and_then(|linux| linux.personality().clone()),
            namespaces: namespaces.iter().fold(0, |flags, namespace| flags | namespace.typ() as i32),
        }
    }

    /// Whether the kernel ends all processes of the container when its init ends.
    pub(crate) fn owns_pids(&self) -> bool {
        self.own_pids
    }

    fn has(&self, kind: Type) -> bool {
        self.namespaces & kind as i32 != 0
    }

    /// `container`: its id, and its state for a seccomp agent.
    pub(crate) fn run(
        &self,
        container: (&str, &str),
        init: &Process,
        cgroup: Option<&Cgroup>,
        process: &oci::Process,
        stdio: Stdio,
    ) -> Result<Process, Error> {
        let filter = self.seccomp.as_ref().map(seccomp::compile).transpose()?;
        let plan = ProcessPlan::new(process, filter, self.personality.as_ref())?;
        let (stdio, console) = ChildStdio::new(stdio, console_size(process))?;
        let needs_proc = plan.apparmor.is_some() || plan.selinux.is_some();
        let proc = needs_proc.then(open_host_proc).transpose()?;
        let (here, there) = Channel::pair()?;
        let mut inside = Inside { profile: self, init, plan: &plan, stdio, proc, id: container.0 };
        let mut body = || crate::init::run(&there, || inside.run(&there));
        let target = init.pidfd();
        let spawned = match spawn_beside(target, self.has(Type::Pid), cgroup.map(Cgroup::fd), &mut body) {
            // The container has made cgroups of its own below and moved its init there.
            Err(Error::System { errno: libc::EBUSY | libc::EOPNOTSUPP, .. }) => {
                let moved = crate::cgroup::of_process(init.pid)?;
                spawn_beside(target, self.has(Type::Pid), Some(moved.fd()), body)?
            }
            result => result?,
        };
        drop(there);
        let result = until_exec(&here, &spawned, &plan, console.as_ref(), |listener| {
            notify::hand_over(self.seccomp.as_ref(), listener.as_fd(), spawned.pid, container.1)
        });
        match result {
            Ok(terminal) => Ok(Process { terminal, ..spawned }),
            Err(error) => {
                let _ = spawned.signal(rustix::process::Signal::KILL);
                let _ = spawned.wait();
                Err(error)
            }
        }
    }
}

/// The conversation with the new process, from its birth to its exec.
fn until_exec(
    channel: &Channel,
    process: &Process,
    plan: &ProcessPlan,
    console: Option<&OwnedFd>,
    hand_over_listener: impl Fn(OwnedFd) -> Result<(), Error>,
) -> Result<Option<OwnedFd>, Error> {
    let mut terminal = None;
    loop {
        match channel.receive()? {
            Some((Message::Ready, master)) => {
                terminal = hand_over(master, console)?;
                limits::apply(process.pid, plan)?;
                channel.send(&Message::Start, None)?;
            }
            Some((Message::SeccompListener, Some(listener))) => hand_over_listener(listener)?,
            Some((Message::Error(error), _)) => return Err(error),
            Some((other, _)) => return Err(Error::InitDied(format!("it sent {other:?} out of turn"))),
            None => return Ok(terminal),
        }
    }
}

/// The child's side.
struct Inside<'a> {
    profile: &'a ExecProfile,
    init: &'a Process,
    plan: &'a ProcessPlan,
    stdio: ChildStdio,
    proc: Option<OwnedFd>,
    id: &'a str,
}

impl Inside<'_> {
    fn run(&mut self, channel: &Channel) -> Result<Infallible, Error> {
        signals::reset();
        // Before anything of the container can see this process.
        hide_memory()?;
        let flags = self.profile.namespaces & !libc::CLONE_NEWPID;
        if flags != 0 {
            // All at once and by pidfd: no path below /proc/PID that could be another process's by now.
            sys::setns(self.init.pidfd(), flags).map_err(|errno| self.join_error(errno))?;
        }
        if self.profile.has(Type::User) {
            become_root()?;
        }
        rustix::process::umask(Mode::empty());
        rustix::process::setsid().context(|| "start a session")?;
        if let Ok(name) = std::ffi::CString::new(format!("_ses.{}", self.id)) {
            let _ = sys::join_session_keyring(&name);
        }
        let master = self.install_stdio()?;
        Tail {
            plan: self.plan,
            channel,
            gateway: Gateway::Channel,
            master,
            proc: self.proc.take(),
            die_with_parent: false,
            init: false,
            preserve_fds: 0,
            start_hooks: Vec::new(),
            hook_state: String::new(),
        }
        .run()
    }

    fn join_error(&self, errno: Errno) -> Error {
        if errno == Errno::SRCH {
            return Error::State(format!("container {} is not running", self.id));
        }
        Error::System {
            doing: format!("join the namespaces of container {}", self.id),
            errno: errno.raw_os_error(),
        }
    }

    fn install_stdio(&self) -> Result<Option<OwnedFd>, Error> {
        match &self.stdio {
            ChildStdio::Pipes { stdin, stdout, stderr } => {
                stdio::install(stdin.as_fd(), stdout.as_fd(), stderr.as_fd())?;
                Ok(None)
            }
            ChildStdio::Terminal { rows, cols } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let root = rustix::fs::open(Path::new("/"), flags, Mode::empty()).context(|| "open /")?;
                let terminal = Terminal::open(root.as_fd(), *rows, *cols)?;
                control(&terminal)?;
                Ok(Some(terminal.master))
            }
            ChildStdio::Inherit => Ok(None),
        }
    }
}

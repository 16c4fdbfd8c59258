//! A container as its caller sees it.

use std::os::fd::{BorrowedFd, OwnedFd};

use oci_spec::runtime as oci;
use rustix::process::{Pid, Signal};

use crate::error::Error;
use crate::options::{CreateOptions, Stdio};
use crate::process::Process;
use crate::status::{ContainerState, ExitStatus, Status};

/// A created container.
#[derive(Debug)]
pub struct Container {
    init: Process,
    state: ContainerState,
}

/// Makes the container: namespaces, cgroup, mounts, everything but exec. Its init waits for
/// [`Container::start`]. The command is looked up already, so "not found" (127) may come from here.
pub fn create(options: CreateOptions<'_>) -> Result<Container, Error> {
    Err(Error::Unavailable { feature: format!("container {}", options.id), reason: "being built".into() })
}

impl Container {
    /// Lets the init exec the command. Errors carry their exit code ([`Error::exit_code`]).
    pub fn start(&mut self) -> Result<(), Error> {
        Err(Error::State("being built".into()))
    }
    /// Opens a container made by another process. `spec` is the one it was created from.
    pub fn load(state: &ContainerState, spec: &oci::Spec) -> Result<Container, Error> {
        Err(Error::State(format!("being built: {} {}", state.id, spec.version())))
    }
    /// What [`Container::load`] needs.
    pub fn state(&self) -> &ContainerState {
        &self.state
    }
    /// PID of the init in our namespace.
    pub fn pid(&self) -> Pid {
        self.init.pid()
    }
    /// Readable once the init has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.init.pidfd()
    }
    /// The terminal's master; can be taken once.
    pub fn terminal(&mut self) -> Option<OwnedFd> {
        self.init.terminal()
    }
    /// The container's root directory as its init sees it, for [`crate::resolve_user`] before exec.
    pub fn rootfs(&self) -> Result<OwnedFd, Error> {
        Err(Error::State("being built".into()))
    }
    /// Runs another process in the container under its seccomp profile; exec errors (126, 127) come from here.
    pub fn exec(&self, process: &oci::Process, stdio: Stdio) -> Result<Process, Error> {
        let _ = (process, stdio);
        Err(Error::State("being built".into()))
    }
    /// Signals the init.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.init.signal(signal)
    }
    /// Kills every process of the container (cgroup.kill; without a cgroup the init, whose PID namespace
    /// dies with it).
    pub fn kill_all(&self) -> Result<(), Error> {
        self.init.signal(Signal::KILL)
    }
    /// Waits for the init's end and reaps it. The status is kept: a second call answers the same.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.init.wait()
    }
    /// The init's status if it has ended; for event loops that poll [`Container::pidfd`].
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.init.try_wait()
    }
    /// What the container is doing now.
    pub fn status(&self) -> Status {
        Status::Stopped
    }
    /// Whether the kernel's OOM killer ended a process of the container. Ask before delete.
    pub fn oom_killed(&self) -> bool {
        false
    }
    /// Freezes all processes.
    pub fn pause(&self) -> Result<(), Error> {
        Err(Error::State("being built".into()))
    }
    /// Thaws them.
    pub fn resume(&self) -> Result<(), Error> {
        Err(Error::State("being built".into()))
    }
    /// Changes limits of the running container.
    pub fn update(&self, resources: &oci::LinuxResources) -> Result<(), Error> {
        let _ = resources;
        Err(Error::State("being built".into()))
    }
    /// Kills what is left and removes the cgroup; idempotent.
    pub fn delete(self) -> Result<(), Error> {
        Err(Error::State("being built".into()))
    }
}

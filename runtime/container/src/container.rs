//! A container as its caller sees it.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime as oci;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use crate::cgroup::{Cgroup, Freezing, Stats};
use crate::create::gate_address;
use crate::error::{Context, Error};
use crate::exec::ExecProfile;
use crate::hooks;
use crate::options::Stdio;
use crate::process::Process;
use crate::seccomp::notify;
use crate::status::{ContainerState, ExitStatus, Status, start_time};
use crate::sync::{Channel, Message};

/// A created container. Dropping it changes nothing about the container; an init that was not started and whose gate is
/// in this process ends.
#[derive(Debug)]
pub struct Container {
    id: String,
    bundle: PathBuf,
    init: Process,
    /// A container opened from a record whose init is gone.
    gone: bool,
    cgroup: Option<Cgroup>,
    channel: Option<Channel>,
    gate: Option<PathBuf>,
    ended: Option<ExitStatus>,
    exec: ExecProfile,
    hooks: Option<oci::Hooks>,
    annotations: Option<HashMap<String, String>>,
}

/// What creating or loading has found out.
pub(crate) struct Parts<'a> {
    pub(crate) id: &'a str,
    pub(crate) bundle: &'a Path,
    pub(crate) init: Process,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) channel: Option<Channel>,
    pub(crate) gate: Option<PathBuf>,
}

impl Container {
    pub(crate) fn new(parts: Parts<'_>, spec: &oci::Spec) -> Self {
        Container {
            id: parts.id.to_owned(),
            bundle: parts.bundle.to_owned(),
            init: parts.init,
            gone: false,
            cgroup: parts.cgroup,
            channel: parts.channel,
            gate: parts.gate,
            ended: None,
            exec: ExecProfile::new(spec),
            hooks: spec.hooks().clone(),
            annotations: spec.annotations().clone(),
        }
    }

    /// Opens a container made by another process. `spec` is the one it was created from. A record whose init
    /// is gone opens, too, so that it can be deleted.
    pub fn load(state: &ContainerState, spec: &oci::Spec) -> Result<Container, Error> {
        let pid = Pid::from_raw(state.pid)
            .ok_or_else(|| Error::State(format!("the record of container {} has no PID", state.id)))?;
        // The pidfd first: if the PID is that of another process by now, the start time tells.
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
        let alive = pidfd.filter(|_| start_time(pid).is_ok_and(|time| time == state.start_time));
        let gone = alive.is_none();
        let pidfd = match alive {
            Some(pidfd) => pidfd,
            // Readable at once, as the pidfd of a process that has ended.
            None => rustix::event::eventfd(1, rustix::event::EventfdFlags::CLOEXEC)
                .context(|| "make an eventfd")?,
        };
        let init = Process { pid, pidfd, terminal: None };
        let cgroup = state.cgroup.as_deref().and_then(|path| Cgroup::open(path).ok());
        let (id, bundle) = (state.id.as_str(), state.bundle.as_path());
        let parts = Parts { id, bundle, init, cgroup, channel: None, gate: state.gate.clone() };
        Ok(Container { gone, ..Container::new(parts, spec) })
    }

    /// What [`Container::load`] needs. Reads the init's start time from /proc.
    pub fn state(&self) -> Result<ContainerState, Error> {
        Ok(ContainerState {
            id: self.id.clone(),
            pid: self.init.pid.as_raw_nonzero().get(),
            start_time: start_time(self.init.pid)?,
            bundle: self.bundle.clone(),
            cgroup: self.cgroup.as_ref().map(|cgroup| cgroup.path().to_owned()),
            gate: self.gate.clone(),
        })
    }

    /// Lets the init exec the command. Errors carry their exit code ([`Error::exit_code`]); after one the init is
    /// gone and [`Container::delete`] is what is left to do.
    pub fn start(&mut self) -> Result<(), Error> {
        let channel = match (self.channel.take(), &self.gate) {
            (Some(channel), _) => channel,
            (None, Some(gate)) if gate.exists() && !self.has_ended() => connect(gate)?,
            _ => return Err(Error::State(format!("container {} is not waiting to be started", self.id))),
        };
        channel.send(&Message::Start, None)?;
        self.hear_exec(&channel)?;
        if let Some(gate) = &self.gate {
            let _ = std::fs::remove_file(gate);
        }
        let poststart =
            self.hooks.as_ref().and_then(|hooks| hooks.poststart().as_deref()).unwrap_or_default();
        hooks::run_all("poststart", poststart, &self.hook_state("running"))
    }

    fn hear_exec(&self, channel: &Channel) -> Result<(), Error> {
        loop {
            match channel.receive()? {
                None => return Ok(()),
                Some((Message::SeccompListener, Some(listener))) => {
                    let state = self.hook_state("running");
                    notify::hand_over(self.exec.seccomp.as_ref(), listener.as_fd(), self.init.pid, &state)?;
                }
                Some((Message::Error(error), _)) => return Err(error),
                Some((other, _)) => return Err(Error::InitDied(format!("it sent {other:?} out of turn"))),
            }
        }
    }

    fn hook_state(&self, status: &str) -> String {
        let pid = self.init.pid.as_raw_nonzero().get();
        hooks::state_json(&self.id, status, pid, &self.bundle, self.annotations.as_ref())
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
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

    /// Its cgroup's directory.
    pub fn cgroup(&self) -> Option<&Path> {
        self.cgroup.as_ref().map(Cgroup::path)
    }

    /// The container's root directory as its init sees it, for [`crate::resolve_user`] before exec.
    pub fn rootfs(&self) -> Result<OwnedFd, Error> {
        let path = format!("/proc/{}/root", self.init.pid.as_raw_nonzero());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(path.as_str(), flags, Mode::empty()).context(|| format!("open {path}"))?;
        // Still alive now: so the PID was its own all the time.
        if self.has_ended() {
            return Err(self.not_running());
        }
        Ok(root)
    }

    /// Runs another process in the container, under its seccomp profile and in its cgroup; exec errors (126, 127)
    /// come from here.
    pub fn exec(&self, process: &oci::Process, stdio: Stdio) -> Result<Process, Error> {
        match self.status() {
            Status::Stopped => return Err(self.not_running()),
            Status::Paused => {
                return Err(Error::State(format!(
                    "Container {} is paused, unpause the container before exec",
                    self.id
                )));
            }
            Status::Created | Status::Running => {}
        }
        let state = self.hook_state("running");
        self.exec.run((&self.id, &state), &self.init, self.cgroup.as_ref(), process, stdio)
    }

    /// Signals the init. An init that is gone is not an error.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        if self.gone { Ok(()) } else { self.init.signal(signal) }
    }

    /// Kills every process of the container (cgroup.kill; without a cgroup the init, and with it
    /// its PID namespace).
    pub fn kill_all(&self) -> Result<(), Error> {
        match &self.cgroup {
            Some(cgroup) => cgroup.kill(),
            None => self.signal(Signal::KILL),
        }
    }

    /// PIDs of all processes of the container in our namespace.
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        match &self.cgroup {
            Some(cgroup) => cgroup.processes(),
            None if self.has_ended() => Ok(Vec::new()),
            None => Ok(vec![self.init.pid.as_raw_nonzero().get()]),
        }
    }

    /// Waits for the init's end and reaps it; the other processes end with it, whatever PID namespace they are in. The status is kept: a second call answers the same.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let status = self.init.wait()?;
        self.ended = Some(status);
        self.end_the_others();
        Ok(status)
    }

    /// The init's status if it has ended; for event loops that poll [`Container::pidfd`].
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        if self.ended.is_none() {
            self.ended = self.init.try_wait()?;
            if self.ended.is_some() {
                self.end_the_others();
            }
        }
        Ok(self.ended)
    }

    /// In a PID namespace that is not its own the other processes outlive the init, with the ends of its pipes in their
    /// hands. A failure comes again when the container is deleted.
    fn end_the_others(&self) {
        if let (false, Some(cgroup)) = (self.exec.owns_pids(), &self.cgroup) {
            let _ = cgroup.kill();
        }
    }

    /// What the container is doing now.
    pub fn status(&self) -> Status {
        if self.has_ended() {
            Status::Stopped
        } else if self.cgroup.as_ref().is_some_and(Cgroup::is_frozen) {
            Status::Paused
        } else if self.channel.is_some() || self.gate.as_ref().is_some_and(|gate| gate.exists()) {
            Status::Created
        } else {
            Status::Running
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.gone
            || self.ended.is_some()
            || poll(&mut [PollFd::new(&self.init.pidfd, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
    }

    pub(crate) fn not_running(&self) -> Error {
        Error::State(format!("container {} is not running", self.id))
    }

    pub(crate) fn own_cgroup(&self) -> Result<&Cgroup, Error> {
        self.cgroup.as_ref().ok_or_else(|| Error::State(format!("container {} has no cgroup", self.id)))
    }

    /// Whether the kernel's OOM killer ended a process of the container. Ask before delete.
    pub fn oom_killed(&self) -> bool {
        self.cgroup.as_ref().is_some_and(Cgroup::oom_killed)
    }

    /// Freezes all processes and waits until they are; those that cannot be frozen in time all run again.
    pub fn pause(&self) -> Result<(), Error> {
        let cgroup = self.pausable()?;
        cgroup.freeze(true).inspect_err(|_| {
            // Why it was not frozen is what the user has to hear.
            let _ = cgroup.thaw();
        })
    }

    /// [`Container::pause`] for event loops: freezes and leaves the waiting to the caller, who calls
    /// [`Container::cancel_pause`] when it takes too long.
    pub fn begin_pause(&self) -> Result<Freezing, Error> {
        self.pausable()?.begin_freeze()
    }

    /// Thaws what a pause has not frozen as a whole.
    pub fn cancel_pause(&self) -> Result<(), Error> {
        self.own_cgroup()?.thaw()
    }

    /// Thaws them.
    pub fn resume(&self) -> Result<(), Error> {
        match self.status() {
            Status::Paused => self.own_cgroup()?.freeze(false),
            Status::Stopped => Err(self.not_running()),
            Status::Created | Status::Running => {
                Err(Error::State(format!("Container {} is not paused", self.id)))
            }
        }
    }

    fn pausable(&self) -> Result<&Cgroup, Error> {
        match self.status() {
            Status::Created | Status::Running => self.own_cgroup(),
            Status::Paused => Err(Error::State(format!("Container {} is already paused", self.id))),
            Status::Stopped => Err(self.not_running()),
        }
    }

    /// Its cgroup's figures.
    pub fn stats(&self) -> Result<Stats, Error> {
        Ok(self.own_cgroup()?.stats())
    }

    /// Changes limits of the running container.
    pub fn update(&self, resources: &oci::LinuxResources) -> Result<(), Error> {
        let cgroup = self.own_cgroup()?;
        cgroup.apply(resources)?;
        match resources.devices().as_deref() {
            None | Some([]) => Ok(()),
            Some(rules) => cgroup.replace_devices(&crate::cgroup::with_default_devices(rules)),
        }
    }

    /// Kills what is left, removes the cgroup and the gate, and runs the poststop hooks. Idempotent.
    pub fn delete(mut self) -> Result<(), Error> {
        if !self.has_ended() {
            self.signal(Signal::KILL)?;
            self.kill_all()?;
            // A parent reaps; another process waits for the end.
            if self.wait().is_err() {
                let ended = &mut [PollFd::new(&self.init.pidfd, PollFlags::IN)];
                rustix::io::retry_on_intr(|| poll(ended, None)).context(|| "wait for the init's end")?;
            }
        } else if !self.gone {
            let _ = self.try_wait();
        }
        if let Some(gate) = &self.gate {
            let _ = std::fs::remove_file(gate);
        }
        let state = self.hook_state("stopped");
        if let Some(cgroup) = self.cgroup.take() {
            cgroup.remove()?;
        }
        let poststop = self.hooks.as_ref().and_then(|hooks| hooks.poststop().as_deref()).unwrap_or_default();
        // One that fails does not keep the others from cleaning up.
        let results: Vec<_> = poststop
            .iter()
            .map(|hook| hooks::run_all("poststop", std::slice::from_ref(hook), &state))
            .collect();
        results.into_iter().collect()
    }
}

fn connect(gate: &Path) -> Result<Channel, Error> {
    let doing = || format!("connect to the waiting init at {}", gate.display());
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .context(doing)?;
    let (address, _directory) = gate_address(gate)?;
    rustix::net::connect(&socket, &address).context(doing)?;
    Ok(Channel(socket))
}

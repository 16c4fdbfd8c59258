//! A new container from the inside: namespaces entered, root and mounts made, everything covered that is to be.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::LinuxNamespaceType as Type;
use rustix::fs::OFlags;

use super::devices::{self, Device};
use super::mounts::{MountContext, seal_dev};
use super::process::{Gateway, Tail};
use super::rootfs::RootPlan;
use super::stdio::{self, ChildStdio};
use super::terminal::Terminal;
use super::{credentials, masks, uts};
use crate::error::{Context, Error};
use crate::hooks;
use crate::plan::mount::{MountPlan, Source};
use crate::plan::namespaces::Namespaces;
use crate::plan::process::ProcessPlan;
use crate::plan::sysctl;
use crate::sync::{Channel, Message};
use crate::sys;
use crate::sys::path::{self, Missing};
use crate::sys::signals;

/// What the parent planned.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) id: &'a str,
    pub(crate) namespaces: &'a Namespaces,
    pub(crate) root: RootPlan,
    pub(crate) mounts: Vec<MountPlan>,
    pub(crate) devices: Vec<Device>,
    pub(crate) masked: &'a [String],
    pub(crate) readonly: &'a [String],
    pub(crate) sysctls: Vec<(String, String)>,
    /// The host's procfs, where something has to be written through it.
    pub(crate) proc: Option<OwnedFd>,
    pub(crate) hostname: Option<&'a str>,
    pub(crate) domainname: Option<&'a str>,
    pub(crate) process: ProcessPlan,
    pub(crate) stdio: ChildStdio,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) keyring: bool,
    pub(crate) die_with_parent: bool,
    pub(crate) init: bool,
    pub(crate) preserve_fds: u32,
    pub(crate) listener: Option<OwnedFd>,
    pub(crate) hooks: hooks::ContainerHooks,
    /// Filled when the runtime's hooks have run.
    pub(crate) hook_state: String,
}

impl Setup<'_> {
    /// Everything from the first instruction after clone to exec.
    pub(crate) fn run(&mut self, channel: &Channel) -> Result<Infallible, Error> {
        signals::reset();
        hide_memory()?;
        self.enter_namespaces(channel)?;
        rustix::process::umask(rustix::fs::Mode::empty());
        if rustix::process::setsid().is_err() && matches!(self.stdio, ChildStdio::Terminal { .. }) {
            return Err(Error::InitDied("it could not start a session".to_owned()));
        }
        if self.keyring {
            self.join_keyring()?;
        }
        uts::set_names(self.hostname, self.domainname)?;
        if self.namespaces.is_new(Type::Network) {
            uts::loopback_up()?;
        }
        let terminal = if self.namespaces.is_new(Type::Mount) { self.build_root(channel)? } else { None };
        if let Some(proc) = &self.proc {
            sysctl::write(proc.as_fd(), &self.sysctls)?;
        }
        let master = self.install_stdio(terminal)?;
        let gateway = self.listener.take().map_or(Gateway::Channel, Gateway::Listener);
        Tail {
            plan: &self.process,
            channel,
            gateway,
            master,
            proc: self.proc.take(),
            die_with_parent: self.die_with_parent,
            init: self.init,
            preserve_fds: self.preserve_fds,
            start_hooks: std::mem::take(&mut self.hooks.start_container),
            hook_state: std::mem::take(&mut self.hook_state),
        }
        .run()
    }

    fn enter_namespaces(&self, channel: &Channel) -> Result<(), Error> {
        if self.namespaces.is_new(Type::User) {
            expect_continue(channel)?;
            credentials::become_root()?;
        }
        for (kind, namespace) in &self.namespaces.join {
            // The parent has entered this one for us; a user namespace is joined by the intermediate process.
            if matches!(kind, Type::Pid | Type::User) {
                continue;
            }
            sys::setns(namespace.as_fd(), *kind as i32).context(|| format!("join the {kind} namespace"))?;
        }
        // Only now: clone3 would take the parent's cgroup as the root of the namespace.
        if self.namespaces.is_new(Type::Cgroup) {
            sys::unshare(libc::CLONE_NEWCGROUP).context(|| "make a cgroup namespace")?;
        }
        Ok(())
    }

    fn join_keyring(&self) -> Result<(), Error> {
        let name = CString::new(format!("_ses.{}", self.id))
            .map_err(|_| Error::spec("container id contains NUL"))?;
        match sys::join_session_keyring(&name) {
            // Kernels without keyrings, seccomp filters around us, quotas of the user: nothing is shared then, or
            // what is shared is the empty one of the supervisor.
            Ok(()) | Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM | rustix::io::Errno::DQUOT) => {
                Ok(())
            }
            Err(errno) => Err(errno).context(|| "join a new session keyring"),
        }
    }

    /// The root with all that is in it, and the terminal of its devpts. Leaves the process inside.
    fn build_root(&mut self, channel: &Channel) -> Result<Option<Terminal>, Error> {
        let root = self.root.attach()?;
        let context = MountContext {
            root: root.as_fd(),
            cgroup: self.cgroup.clone(),
            own_cgroup_namespace: self.namespaces.has(Type::Cgroup),
        };
        for mount in &mut self.mounts {
            context.mount(mount)?;
        }
        let dev_is_the_hosts =
            self.mounts.iter().any(|plan| plan.is_on("/dev") && matches!(plan.source, Source::Bind { .. }));
        if !dev_is_the_hosts {
            devices::make(root.as_fd(), &self.devices, self.namespaces.has(Type::User))?;
        }
        let terminal = match self.stdio {
            ChildStdio::Terminal { rows, cols } => {
                let terminal = Terminal::open(root.as_fd(), rows, cols)?;
                terminal.mount_console(root.as_fd())?;
                Some(terminal)
            }
            _ => None,
        };
        if self.hooks.any {
            channel.send(&Message::Hooks, None)?;
            self.hook_state = expect_continue(channel)?;
            hooks::run_all("createContainer", &self.hooks.create_container, &self.hook_state)?;
        }
        path::create(root.as_fd(), &self.process.cwd, Missing::Directory)?;
        let null = devices::null_place(root.as_fd())?;
        masks::make_readonly(root.as_fd(), self.readonly)?;
        masks::mask(root.as_fd(), self.masked, null.as_fd())?;
        seal_dev(root.as_fd(), &self.mounts)?;
        self.root.enter(root.as_fd())?;
        self.root.seal(root.as_fd())?;
        Ok(terminal)
    }

    fn install_stdio(&self, terminal: Option<Terminal>) -> Result<Option<OwnedFd>, Error> {
        match (&self.stdio, terminal) {
            (ChildStdio::Pipes { stdin, stdout, stderr }, _) => {
                stdio::install(stdin.as_fd(), stdout.as_fd(), stderr.as_fd())?;
                Ok(None)
            }
            (ChildStdio::Terminal { rows, cols }, terminal) => {
                let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty())
                    .context(|| "open /")?;
                let terminal = terminal.map_or_else(|| Terminal::open(root.as_fd(), *rows, *cols), Ok)?;
                control(&terminal)?;
                Ok(Some(terminal.master))
            }
            (ChildStdio::Inherit, _) => Ok(None),
        }
    }
}

/// Makes the terminal the controlling one of this session and the three streams.
pub(crate) fn control(terminal: &Terminal) -> Result<(), Error> {
    rustix::process::ioctl_tiocsctty(&terminal.slave)
        .context(|| "take the terminal as the controlling one")?;
    let slave = terminal.slave.as_fd();
    stdio::install(slave, slave, slave)
}

/// Until exec nobody in the container may look into this process or reach the program it runs: it is a copy
/// of the supervisor (CVE-2019-5736 and its kin).
pub(crate) fn hide_memory() -> Result<(), Error> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context(|| "make the init not dumpable")
}

pub(crate) fn expect_continue(channel: &Channel) -> Result<String, Error> {
    match channel.receive()? {
        Some((Message::Continue(state), _)) => Ok(state),
        _ => Err(Error::InitDied("its creator is gone".to_owned())),
    }
}

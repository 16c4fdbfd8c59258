//! Creating a container, from the outside: plan, cgroup, clone, and the conversation until the init is ready.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{self as oci, LinuxNamespaceType as Type};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, sendmsg,
};

use crate::cgroup::{self, Cgroup};
use crate::container::{Container, Parts};
use crate::error::{Context, Error};
use crate::hooks::{self, ContainerHooks};
use crate::init;
use crate::init::devices::Device;
use crate::init::mounts::open_host_proc;
use crate::init::prepare::Setup;
use crate::init::rootfs::RootPlan;
use crate::init::stdio::ChildStdio;
use crate::limits;
use crate::options::{CreateOptions, Gate};
use crate::plan;
use crate::plan::mount::{IdMaps, MountPlan, copy};
use crate::plan::mount_options::propagation;
use crate::plan::namespaces::{Namespaces, write_maps};
use crate::plan::process::ProcessPlan;
use crate::process::Process;
use crate::seccomp;
use crate::spawn::spawn;
use crate::status::ExitStatus;
use crate::sync::{Channel, Message};

/// Makes the container: namespaces, cgroup, mounts, everything but exec. Its init waits for
/// [`Container::start`]. The command is looked up already, so "not found" (127) comes from here.
///
/// The calling process must have one thread. Nothing is left behind when it fails.
///
/// # Errors
/// Everything of [`Error`]; [`Error::exit_code`] says 126, 127 or 125.
pub fn create(options: CreateOptions<'_>) -> Result<Container, Error> {
    plan::check_id(options.id)?;
    plan::check(options.spec)?;
    let spec = options.spec;
    let (Some(linux), Some(root), Some(process)) = (spec.linux(), spec.root(), spec.process()) else {
        return Err(Error::spec("root, process and linux are needed"));
    };
    let namespaces = Namespaces::new(linux)?;
    if !namespaces.has(Type::Mount) {
        return Err(Error::spec("linux.namespaces has no mount namespace: the host's mounts would change"));
    }
    let filter = linux.seccomp().as_ref().map(seccomp::compile).transpose()?;
    let process = ProcessPlan::new(process, filter, linux.personality().as_ref())?;
    let sysctls = linux
        .sysctl()
        .as_ref()
        .map(|list| plan::sysctl::plan(list, &namespaces, options.own_kernel))
        .transpose()?;
    let needs_proc =
        sysctls.is_some() || options.init || process.apparmor.is_some() || process.selinux.is_some();
    if (spec.hostname().is_some() || spec.domainname().is_some()) && !namespaces.has(Type::Uts) {
        return Err(Error::spec("hostname or domainname without a uts namespace: the host's would change"));
    }
    let (stdio, console) = ChildStdio::new(options.stdio, console_size(&process.spec))?;
    let maps = IdMaps { uid: &namespaces.uid_maps, gid: &namespaces.gid_maps };
    let mounts = spec.mounts().iter().flatten().map(|mount| MountPlan::new(mount, options.bundle, &maps));
    let mounts = mounts.collect::<Result<Vec<_>, _>>()?;
    let devices = linux.devices().iter().flatten().map(Device::new).collect::<Result<Vec<_>, _>>()?;
    let root = root_plan(root, linux, options.bundle, options.no_pivot, namespaces.is_new(Type::Mount))?;
    let gate = options.gate.clone();
    let mut guard = Guard { cgroup: None, gate: &gate, armed: true };
    let listener = match &gate {
        Gate::InProcess => None,
        Gate::Socket(path) => Some(listen(path)?),
    };
    let cgroup = make_cgroup(options.cgroup.as_deref(), options.id, linux)?;
    guard.cgroup = cgroup.as_ref().map(|cgroup| cgroup.path().to_owned());
    let (here, there) = Channel::pair()?;
    let mut setup = Setup {
        id: options.id,
        namespaces: &namespaces,
        root,
        mounts,
        devices,
        masked: linux.masked_paths().as_deref().unwrap_or_default(),
        readonly: linux.readonly_paths().as_deref().unwrap_or_default(),
        sysctls: sysctls.unwrap_or_default(),
        proc: needs_proc.then(open_host_proc).transpose()?,
        hostname: spec.hostname().as_deref(),
        domainname: spec.domainname().as_deref(),
        process,
        stdio,
        cgroup: cgroup.as_ref().map(|cgroup| cgroup.path().to_owned()),
        keyring: !options.no_new_keyring,
        die_with_parent: options.die_with_parent,
        init: options.init,
        preserve_fds: options.preserve_fds,
        listener,
        hooks: ContainerHooks::new(spec.hooks().as_ref()),
        hook_state: String::new(),
    };
    let child = || init::run(&there, || setup.run(&there));
    let process = spawn(&namespaces, cgroup.as_ref().map(Cgroup::fd), &here, &there, child)?;
    drop(there);
    let starting = Starting { init: process, channel: &here };
    let told = starting.until_ready(&namespaces, &setup.process, (options.id, options.bundle), spec);
    let terminal = match told.and_then(|master| hand_over(master, console.as_ref())) {
        Ok(terminal) => terminal,
        Err(error) => return Err(starting.give_up(error)),
    };
    let mut init = starting.init;
    init.terminal = terminal;
    guard.disarm();
    let gate = match options.gate {
        Gate::Socket(path) => Some(path),
        Gate::InProcess => None,
    };
    let channel = gate.is_none().then_some(here);
    Ok(Container::new(Parts { id: options.id, bundle: options.bundle, init, cgroup, channel, gate }, spec))
}

/// An init that is not ready yet.
struct Starting<'a> {
    init: Process,
    channel: &'a Channel,
}

impl Starting<'_> {
    /// Does what the child asks for until it is ready; the terminal's master when there is one.
    fn until_ready(
        &self,
        namespaces: &Namespaces,
        process: &ProcessPlan,
        (id, bundle): (&str, &Path),
        spec: &oci::Spec,
    ) -> Result<Option<OwnedFd>, Error> {
        let pid = self.init.pid;
        if namespaces.is_new(Type::User) {
            write_maps(pid, &namespaces.uid_maps, &namespaces.gid_maps)?;
            self.channel.send(&Message::Continue(String::new()), None)?;
        }
        loop {
            match self.channel.receive()? {
                Some((Message::Ready, master)) => {
                    limits::apply(pid, process)?;
                    return Ok(master);
                }
                Some((Message::Hooks, _)) => {
                    let number = pid.as_raw_nonzero().get();
                    let state =
                        |status| hooks::state_json(id, status, number, bundle, spec.annotations().as_ref());
                    if let Some(all) = spec.hooks() {
                        let creating = state("creating");
                        hooks::run_all("prestart", hooks::prestart(all), &creating)?;
                        let list = all.create_runtime().as_deref().unwrap_or_default();
                        hooks::run_all("createRuntime", list, &creating)?;
                    }
                    self.channel.send(&Message::Continue(state("created")), None)?;
                }
                Some((Message::Error(error), _)) => return Err(error),
                Some((other, _)) => return Err(Error::InitDied(format!("it sent {other:?} out of turn"))),
                None => return Err(Error::InitDied("the connection broke".to_owned())),
            }
        }
    }

    /// Ends the child. One that had died by itself tells by its status why.
    fn give_up(&self, error: Error) -> Error {
        let _ = self.init.signal(rustix::process::Signal::KILL);
        match (self.init.wait(), error) {
            (Ok(ExitStatus::Signal(signal)), Error::InitDied(_)) => Error::InitDied(format!(
                "signal {signal} killed it; with a memory limit: is the limit large enough to start at all?"
            )),
            (_, error) => error,
        }
    }
}

/// The size of a terminal that the spec asks for; 0 where it does not.
pub(crate) fn console_size(process: &oci::Process) -> (u16, u16) {
    let clip = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
    process.console_size().map_or((0, 0), |size| (clip(size.height()), clip(size.width())))
}

/// Sends the master to the console socket where there is one.
pub(crate) fn hand_over(
    master: Option<OwnedFd>,
    console: Option<&OwnedFd>,
) -> Result<Option<OwnedFd>, Error> {
    let (Some(master), Some(socket)) = (&master, console) else { return Ok(master) };
    let fds = [master.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    // The text is what runc sends; receivers ignore it or log it.
    let text = [std::io::IoSlice::new(b"/dev/ptmx")];
    rustix::io::retry_on_intr(|| sendmsg(socket, &text, &mut ancillary, SendFlags::NOSIGNAL))
        .context(|| "send the terminal to the console socket")?;
    Ok(None)
}

fn root_plan(
    root: &oci::Root,
    linux: &oci::Linux,
    bundle: &Path,
    no_pivot: bool,
    own_mounts: bool,
) -> Result<RootPlan, Error> {
    let path = bundle.join(root.path());
    let spread = match linux.rootfs_propagation().as_deref() {
        None | Some("") => None,
        Some(word) => Some(
            propagation(word)
                .ok_or_else(|| Error::spec(format!("linux.rootfsPropagation \"{word}\" is unknown")))?,
        ),
    };
    let stat = rustix::fs::stat(&path).context(|| format!("open root {}", path.display()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Error::spec(format!("root.path {} is not a directory", path.display())));
    }
    let tree = if own_mounts { copy(&path, true, &[])? } else { None };
    Ok(RootPlan {
        tree,
        readonly: root.readonly().unwrap_or(false),
        propagation: spread,
        no_pivot,
        path,
        outside: None,
    })
}

/// The cgroup with its limits and device rules in force, before anything runs in it.
fn make_cgroup(parent: Option<&Path>, id: &str, linux: &oci::Linux) -> Result<Option<Cgroup>, Error> {
    let path = match (parent, linux.cgroups_path()) {
        (Some(parent), _) => parent.join(id),
        (None, Some(path)) => below_mount(path)?,
        (None, None) => {
            return match linux.resources() {
                Some(resources) if asks_for_anything(resources) => Err(Error::Unavailable {
                    feature: "linux.resources".to_owned(),
                    reason: "the container has no cgroup; set linux.cgroupsPath or leave the limits out"
                        .to_owned(),
                }),
                _ => Ok(None),
            };
        }
    };
    let cgroup = Cgroup::create(&path)?;
    match limit(&cgroup, linux.resources().as_ref()) {
        Ok(()) => Ok(Some(cgroup)),
        Err(error) => {
            let _ = cgroup.remove();
            Err(error)
        }
    }
}

fn limit(cgroup: &Cgroup, resources: Option<&oci::LinuxResources>) -> Result<(), Error> {
    if let Some(resources) = resources {
        cgroup.apply(resources)?;
    }
    let rules = resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
    cgroup.set_devices(&cgroup::with_default_devices(rules))
}

fn below_mount(path: &Path) -> Result<PathBuf, Error> {
    let text = path.to_string_lossy();
    if text.matches(':').count() == 2 && !text.starts_with('/') {
        return Err(Error::spec(format!(
            "linux.cgroupsPath \"{text}\" is systemd's notation, a path is needed"
        )));
    }
    let below = path.strip_prefix("/").unwrap_or(path);
    if below.as_os_str().is_empty() {
        return Err(Error::spec("linux.cgroupsPath is the root of the tree"));
    }
    Ok(cgroup::mount_point()?.join(below))
}

fn asks_for_anything(resources: &oci::LinuxResources) -> bool {
    resources.memory().is_some()
        || resources.cpu().is_some()
        || resources.pids().is_some_and(|pids| pids.limit() > 0)
        || resources.block_io().is_some()
        || resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty())
        || resources.unified().as_ref().is_some_and(|unified| !unified.is_empty())
        || resources.devices().as_ref().is_some_and(|rules| !cgroup::allows_everything(rules))
}

fn listen(path: &Path) -> Result<OwnedFd, Error> {
    let doing = || format!("listen on {}", path.display());
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .context(doing)?;
    rustix::net::bind(&socket, &gate_address(path)?.0).context(doing)?;
    rustix::net::listen(&socket, 1).context(doing)?;
    Ok(socket)
}

/// The address of a socket whose path may be longer than an address holds: its directory is named by descriptor.
pub(crate) fn gate_address(path: &Path) -> Result<(SocketAddrUnix, OwnedFd), Error> {
    let doing = || format!("address socket {}", path.display());
    let (directory, name) = path
        .parent()
        .zip(path.file_name())
        .ok_or_else(|| Error::spec(format!("{} is not the path of a socket", path.display())))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty()).context(doing)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((SocketAddrUnix::new(&short).context(doing)?, directory))
}

/// Takes back what was made when something fails later.
struct Guard<'a> {
    cgroup: Option<PathBuf>,
    gate: &'a Gate,
    armed: bool,
}

impl Guard<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        if let Some(cgroup) = self.cgroup.as_deref().and_then(|path| Cgroup::open(path).ok()) {
            let _ = cgroup.remove();
        }
        if let Gate::Socket(path) = self.gate {
            let _ = std::fs::remove_file(path);
        }
    }
}

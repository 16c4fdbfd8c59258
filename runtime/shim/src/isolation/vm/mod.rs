//! The container in a microVM of its own: the monitor runs the machine, the agent in it runs the container.

mod agent;
mod archive;
mod container;
mod figures;
mod limits;
mod monitor;
mod news;
mod patience;
mod pause;
mod printable;
mod share;
mod spec;
mod streams;

use std::os::fd::AsRawFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};
use sandbox_protocol::{CONTROL_PORT, Create, FdStream, STREAM_PORT, Setup, message, request};
use sandbox_vmm::config::{CacheMode, FsConfig, JailConfig, VmConfig, VsockConfig};
use sandbox_vmm::control::Command;
use tokio::net::UnixListener;
use tokio::time::sleep;

pub use self::container::VmContainer;
use self::monitor::Monitor;
use self::patience::Patience;
use self::share::{Entry, Share};
use self::streams::{StreamListener, check_peer};
use super::{Failure, Isolation, Process, Running, Start, Stdio};
use crate::cgroup;
use crate::plan::{Plan, VmPlan};
use crate::stamps::Stamps;

/// Name of the mount point of everything that the guest sees in the run directory.
pub const SHARES: &str = share::DIRECTORY;
/// Directory of the vsock device's host side in the run directory.
pub const VSOCK: &str = "vsock";
/// Path of the device's socket in there; ports are appended.
const SOCKET: &str = "vsock.sock";
/// The guest's context id; every machine is alone with its monitor.
const GUEST_CID: u32 = 3;
/// How much later than the monitor's the supervisor's own boot deadline is.
const BACKSTOP: Duration = Duration::from_secs(2);
/// Open files of the monitor: the virtio-fs server holds one for each inode that the guest knows.
const MONITOR_FILES: u64 = 1 << 20;
/// Random bytes for the guest's pool.
const ENTROPY: usize = 64;

/// `--isolation=vm`.
#[derive(Debug)]
pub struct VmIsolation<'a> {
    pub plan: &'a VmPlan,
    /// Where the monitor's own stamps go.
    pub stamps: Rc<Stamps>,
}

/// Makes the monitor's cgroup and sees to it that joining is quick. Call before the root file system is mounted, which
/// takes about as long.
///
/// # Errors
/// Those of the cgroup.
pub fn prepare(plan: &Plan, vm: &VmPlan) -> Result<(), Failure> {
    let Some(path) = &plan.cgroup else { return Ok(()) };
    cgroup::make(path, vm.resources.as_ref())?;
    cgroup::announce_join(path);
    Ok(())
}

impl Isolation for VmIsolation<'_> {
    type Running = VmContainer;

    async fn start(self, start: Start<'_>) -> Result<(Self::Running, Process), Failure> {
        let Start { plan, rootfs, stamps } = start;
        let (spec, entries) = spec::rewrite(&plan.spec, &plan.container_dir)?;
        let shares = plan.run_dir.join(share::DIRECTORY);
        share::make(&shares, &rootfs, &entries)?;
        let vsock = plan.run_dir.join(VSOCK);
        let control = listen(&vsock, CONTROL_PORT)?;
        let patience = Patience::new(Duration::from_millis(self.plan.boot_deadline_ms));
        let streams = StreamListener::new(listen(&vsock, STREAM_PORT)?, self.plan.uid, patience.clone());
        let config = describe(plan, self.plan, &shares, &vsock, &entries);
        let monitor = Monitor::spawn(self.plan, &config, Rc::clone(&self.stamps)).await?;
        stamps.mark("vmm_spawned");

        // All this while the guest boots.
        let (stdio, expected) = streams.expect(Stdio::of(plan))?;
        let create = Create {
            container: plan.id.clone(),
            spec: json(&spec)?,
            stdio: Some(stdio),
            user: plan.user.clone(),
            extra_groups: plan.extra_groups.clone(),
            init: plan.init,
        };
        let start = sandbox_protocol::Start { container: plan.id.clone() };
        let connection = boot(&monitor, self.plan, &control).await?;
        stamps.mark("agent_ready");
        let setup = setup(plan, &entries)?;
        let running = VmContainer::new(plan, self.plan.memory_mib, monitor, connection, patience, streams);
        let exited = running.agent.exited("");
        running.monitor.command(&Command::Booted).await;
        let begin = async {
            let requests =
                [request::Body::Setup(setup), request::Body::Create(create), request::Body::Start(start)];
            let [setup, create, start] = running.agent.send(requests).await?;
            setup.answer().await?;
            stamps.mark("guest_set_up");
            create.answer().await?;
            stamps.mark("container_created");
            let streams = expected.open().await?;
            Ok((pid(&start.answer().await?), streams))
        };
        match running.unless_dead(begin).await {
            Ok((pid, streams)) => Ok((running, Process { pid, streams, exited })),
            Err(failure) => {
                // What made the start fail is what the user wants to know.
                let _ = running.stop(false).await;
                Err(failure)
            }
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value)
        .map_err(|error| Failure::engine(format!("write the OCI specification: {error}")))
}

fn pid(answer: &message::Body) -> i32 {
    match answer {
        message::Body::Done(done) => done.pid,
        _ => 0,
    }
}

/// Listens where the monitor connects to for the guest's connections to `port`.
///
/// The directory is named through its descriptor: a socket's address holds 107 bytes (unix(7)), and the user's run
/// directory with a container's id in it may be longer.
fn listen(vsock: &Path, port: u32) -> Result<UnixListener, Failure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::engine(format!("{what} {}: {error}", vsock.display()))
    };
    match rustix::fs::mkdir(vsock, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(failed("make", &error)),
    }
    let directory =
        rustix::fs::open(vsock, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| failed("open", &error))?;
    UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}_{port}", directory.as_raw_fd()))
        .map_err(|error| failed("listen in", &error))
}

/// The machine for this container.
fn describe(plan: &Plan, vm: &VmPlan, shares: &Path, vsock: &Path, entries: &[Entry]) -> VmConfig {
    let device = |share: Share| FsConfig {
        tag: share.tag().to_owned(),
        path: shares.join(share.tag()),
        cache: if share == Share::Private { CacheMode::Private } else { CacheMode::Coherent },
        read_only: share == Share::ReadOnly,
    };
    VmConfig {
        kernel: vm.kernel.clone(),
        initramfs: vm.initramfs.clone(),
        cmdline: vm.cmdline.clone(),
        memory_mib: vm.memory_mib,
        vcpus: vm.vcpus,
        boot_deadline_ms: vm.boot_deadline_ms,
        serial: vm.serial,
        fs: used_shares(entries).map(device).collect(),
        vsock: Some(VsockConfig { cid: GUEST_CID, uds_path: vsock.join(SOCKET) }),
        net: Vec::new(),
        block: Vec::new(),
        rng: true,
        balloon: true,
        jail: Some(JailConfig {
            uid: vm.uid,
            gid: vm.gid,
            cgroup: plan.cgroup.clone(),
            max_files: MONITOR_FILES,
        }),
    }
}

fn used_shares(entries: &[Entry]) -> impl Iterator<Item = Share> {
    [Share::Private, Share::Shared, Share::ReadOnly]
        .into_iter()
        .filter(|share| *share == Share::Private || entries.iter().any(|entry| entry.share == *share))
}

/// What the guest is told first.
fn setup(plan: &Plan, entries: &[Entry]) -> Result<Setup, Failure> {
    let mut entropy = vec![0; ENTROPY];
    getrandom(&mut entropy, GetRandomFlags::empty())
        .map_err(|error| Failure::engine(format!("draw random bytes for the guest: {error}")))?;
    let now = clock_gettime(ClockId::Realtime);
    Ok(Setup {
        shares: used_shares(entries).map(|share| share.tag().to_owned()).collect(),
        realtime_ns: now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64,
        entropy,
        hostname: plan.spec.hostname().clone().unwrap_or_default(),
        links: Vec::new(),
    })
}

/// Waits for the agent's control connection: the guest is up.
async fn boot(monitor: &Monitor, vm: &VmPlan, control: &UnixListener) -> Result<FdStream, Failure> {
    let accept = async {
        loop {
            let (connection, _) = control.accept().await?;
            if check_peer(&connection, vm.uid).is_ok() {
                return FdStream::new(connection.into_std()?.into());
            }
        }
    };
    let deadline = async {
        match vm.boot_deadline_ms {
            0 => std::future::pending().await,
            deadline => sleep(Duration::from_millis(deadline) + BACKSTOP).await,
        }
    };
    tokio::select! {
        connection = accept => {
            connection.map_err(|error| Failure::engine(format!("accept the agent's connection: {error}")))
        }
        death = monitor.died() => Err(Failure::engine(death.reason)),
        () = deadline => {
            monitor.kill();
            Err(Failure::engine(format!(
                "the guest did not reach its agent within {} ms, and its monitor does not end it",
                vm.boot_deadline_ms
            )))
        }
    }
}

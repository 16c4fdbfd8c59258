//! The program `sandbox-shim`: from its start to a supervised container, and the clean-up after it.
//!
//! Expects the primary client's connection as descriptor 3, and may get the container's locked lock file as
//! descriptor 4, so that the lock passes from the command that made the container without a gap.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::FdFlags;
use rustix::mount::UnmountFlags;
use sandbox_protocol::FdStream;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::isolation::process::{self, ProcessIsolation};
use crate::isolation::vm::{self, VmIsolation};
use crate::isolation::{Failure, Isolation};
use crate::plan::{self, IsolationPlan, Plan};
use crate::stamps::Stamps;
use crate::supervisor::primary::Primary;
use crate::supervisor::{self, Clients, Ground, supervise};
use crate::wire::{Exit, Notice};
use crate::{cgroup, rootfs, status};

/// The primary client's connection.
const CLIENT: RawFd = 3;
/// The container's lock.
const LOCK: RawFd = 4;
/// Name of the lock file in the container's directory.
pub const LOCK_FILE: &str = "lock";
/// Name of the supervisor's socket in the run directory.
pub const SOCKET_FILE: &str = "shim.sock";
/// Name of the plan in the run directory.
pub const PLAN_FILE: &str = "plan.json";

/// Supervises the container that `plan` describes until nothing is left of it, and returns the exit code of this
/// process: 0, or 125 when the container did not start for a reason of ours.
pub fn run(plan: &Path) -> u8 {
    let stamps = Rc::new(Stamps::default());
    stamps.mark("shim_start");
    let client = inherit(CLIENT);
    let lock = inherit(LOCK);
    detach();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sandbox-shim: start the event loop: {error}");
            return sandbox_container::EXIT_ENGINE;
        }
    };
    let (code, reaper) = tokio::task::LocalSet::new().block_on(&runtime, async {
        let primary = client.and_then(|fd| FdStream::new(fd).ok());
        match load(plan, lock) {
            Err(failure) => {
                eprintln!("sandbox-shim: {failure}");
                let notice = Notice::StartFailed { message: failure.message, exit_code: failure.exit_code };
                Primary::silent(primary).tell(&notice).await;
                (sandbox_container::EXIT_ENGINE, None)
            }
            Ok((plan, lock)) => {
                let (exit, primary) = live(&plan, primary, &stamps).await;
                clean_up(&plan);
                stamps.mark("torn_down");
                let listening = primary.tell(&Notice::Timings { stamps: stamps.list() }).await;
                let code = if exit.error.is_some() { sandbox_container::EXIT_ENGINE } else { 0 };
                (code, (!listening).then(|| Reaper { arguments: plan.reaper, lock }))
            }
        }
    });
    if let Some(reaper) = reaper {
        reaper.become_it();
    }
    code
}

/// The command that finishes what is left to do when no other one waits for that.
struct Reaper {
    arguments: Vec<String>,
    lock: OwnedFd,
}

impl Reaper {
    /// Returns only when it cannot; then the next command does it.
    fn become_it(self) {
        let Some((program, arguments)) = self.arguments.split_first() else { return };
        // Passed on under its number, whatever it has become here.
        let placed = if self.lock.as_raw_fd() == LOCK {
            rustix::io::fcntl_setfd(&self.lock, FdFlags::empty())
        } else {
            // SAFETY: nothing in this process uses that number: it was the lock's, or was never open.
            let mut place = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(LOCK) });
            rustix::io::dup2(&self.lock, &mut place)
        };
        if let Err(error) = placed {
            eprintln!("sandbox-shim: pass on the lock: {error}");
            return;
        }
        let error = std::process::Command::new(program).args(arguments).exec();
        eprintln!("sandbox-shim: run {program}: {error}");
    }
}

/// Takes over an inherited descriptor, if it is open, and keeps it from being inherited further.
fn inherit(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: whether it is open is what the call finds out; nothing is done with it if not.
    let probe = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(probe, FdFlags::CLOEXEC).ok()?;
    // SAFETY: it is open, and nothing in this process owns it: this runs first, once for each number.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Leaves the session, directory and descriptors of whoever started us.
fn detach() {
    // Fails for the leader of a process group, which has its own session already.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // SAFETY: nothing in this process owns descriptors from here up yet.
    unsafe { libc::close_range(LOCK as u32 + 1, u32::MAX, 0) };
    if let Ok(mut null) = File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from) {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&mut null);
    }
}

fn load(path: &Path, lock: Option<OwnedFd>) -> Result<(Plan, OwnedFd), Failure> {
    let text = std::fs::read(path)
        .map_err(|error| Failure::engine(format!("read the plan {}: {error}", path.display())))?;
    let plan: Plan = serde_json::from_slice(&text)
        .map_err(|error| Failure::engine(format!("parse the plan {}: {error}", path.display())))?;
    let lock = match lock {
        Some(lock) => lock,
        None => take_lock(&plan.container_dir.join(LOCK_FILE))?,
    };
    Ok((plan, lock))
}

fn take_lock(path: &PathBuf) -> Result<OwnedFd, Failure> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let lock = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))
        .map_err(|error| Failure::engine(format!("open the lock {}: {error}", path.display())))?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        Failure::engine(format!("lock {}: {error}; the container has an owner", path.display()))
    })?;
    Ok(lock)
}

async fn live(plan: &Plan, primary: Option<FdStream>, stamps: &Rc<Stamps>) -> (Exit, Primary) {
    let terminate = signal(SignalKind::terminate());
    let (listener, mut terminate) = match (listen(&plan.run_dir), terminate) {
        (Ok(listener), Ok(terminate)) => (listener, terminate),
        (Err(error), _) => return hopeless(plan, primary, "listen in", &error).await,
        (_, Err(error)) => return hopeless(plan, primary, "watch for signals of", &error).await,
    };
    let clients = Clients { primary, listener: Some(listener) };
    match &plan.isolation {
        IsolationPlan::Process => {
            let site = Site { plan, isolation: || ProcessIsolation };
            supervise(site, plan, clients, &mut terminate, stamps).await
        }
        IsolationPlan::Vm(vm) => {
            let isolation = || VmIsolation { plan: vm, stamps: Rc::clone(stamps) };
            supervise(Site { plan, isolation }, plan, clients, &mut terminate, stamps).await
        }
    }
}

/// Tells that there is nothing to supervise with.
async fn hopeless(
    plan: &Plan,
    primary: Option<FdStream>,
    what: &str,
    error: &std::io::Error,
) -> (Exit, Primary) {
    let failure = Failure::engine(format!("{what} {}: {error}", plan.run_dir.display()));
    supervisor::refuse(plan, primary, failure).await
}

/// Where everybody who comes later connects to. Named through its directory's descriptor: a socket's address holds 107
/// bytes (unix(7)).
fn listen(run_dir: &Path) -> std::io::Result<UnixListener> {
    let directory =
        rustix::fs::open(run_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd());
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}

/// The place of one container: mounts before each start, and nothing of them after it.
struct Site<'a, F> {
    plan: &'a Plan,
    isolation: F,
}

impl<I: Isolation, F: FnMut() -> I> Ground for Site<'_, F> {
    type Isolation = I;

    fn lay(&mut self) -> Result<(I, OwnedFd), Failure> {
        if let IsolationPlan::Vm(vm) = &self.plan.isolation {
            vm::prepare(self.plan, vm)?;
        }
        rootfs::enter_namespace()?;
        Ok(((self.isolation)(), rootfs::mount(&self.plan.rootfs, &self.plan.run_dir)?))
    }

    /// Never recursive: a mount that is still there must not lose its files.
    fn clear(&mut self) {
        if let Some(path) = &self.plan.cgroup
            && let Err(error) = cgroup::reclaim(path)
        {
            eprintln!("sandbox-shim: {error}");
        }
        for mount_point in [process::ROOTFS, plan::SHM, vm::SHARES] {
            let path = self.plan.run_dir.join(mount_point);
            let _ = rustix::mount::unmount(&path, UnmountFlags::DETACH);
            let _ = std::fs::remove_dir(&path);
        }
        rootfs::forgive(&self.plan.rootfs);
        let vsock = self.plan.run_dir.join(vm::VSOCK);
        for entry in std::fs::read_dir(&vsock).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
        let _ = std::fs::remove_dir(&vsock);
    }
}

/// Takes away the run directory.
fn clean_up(plan: &Plan) {
    for file in [SOCKET_FILE, status::FILE, PLAN_FILE] {
        let _ = std::fs::remove_file(plan.run_dir.join(file));
    }
    let _ = std::fs::remove_dir(&plan.run_dir);
}

//! The program `sandbox-shim`: from its start to a supervised container, and the clean-up after it.
//!
//! Expects the primary client's connection as descriptor 3, and may get the container's locked lock file as
//! descriptor 4, so that the lock passes from the command that made the container without a gap.

use std::fs::File;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::FdFlags;
use rustix::mount::UnmountFlags;
use sandbox_protocol::FdStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::isolation::process::{self, ProcessIsolation};
use crate::isolation::vm::{self, VmIsolation};
use crate::isolation::{Failure, Start};
use crate::plan::{IsolationPlan, Plan};
use crate::stamps::Stamps;
use crate::supervisor::client::Client;
use crate::supervisor::{fail, supervise};
use crate::wire::{Exit, Notice};
use crate::{cgroup, rootfs};

/// The primary client's connection.
const CLIENT: RawFd = 3;
/// The container's lock.
const LOCK: RawFd = 4;
/// Name of the lock file in the container's directory.
pub const LOCK_FILE: &str = "lock";
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
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut client = Client::new(client.and_then(|fd| FdStream::new(fd).ok()));
        match load(plan, lock) {
            Err(failure) => {
                eprintln!("sandbox-shim: {failure}");
                let notice = Notice::StartFailed { message: failure.message, exit_code: failure.exit_code };
                client.writer.notify(&notice).await;
                sandbox_container::EXIT_ENGINE
            }
            Ok((plan, _lock)) => {
                let exit = live(&plan, &mut client, &stamps).await;
                clean_up(&plan);
                stamps.mark("torn_down");
                client.writer.notify(&Notice::Timings { stamps: stamps.list() }).await;
                if exit.error.is_some() { sandbox_container::EXIT_ENGINE } else { 0 }
            }
        }
    })
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

async fn live(plan: &Plan, client: &mut Client, stamps: &Rc<Stamps>) -> Exit {
    let prepared = prepare(plan).and_then(|rootfs| {
        let terminate = signal(SignalKind::terminate())
            .map_err(|error| Failure::engine(format!("watch for signals: {error}")))?;
        Ok((rootfs, terminate))
    });
    let (rootfs, mut terminate) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return fail(plan, failure, client).await,
    };
    stamps.mark("rootfs_mounted");
    let start = Start { plan, rootfs, stamps };
    match &plan.isolation {
        IsolationPlan::Process => supervise(ProcessIsolation, start, client, &mut terminate, stamps).await,
        IsolationPlan::Vm(vm) => {
            let isolation = VmIsolation { plan: vm, stamps: Rc::clone(stamps) };
            supervise(isolation, start, client, &mut terminate, stamps).await
        }
    }
}

fn prepare(plan: &Plan) -> Result<OwnedFd, Failure> {
    if let IsolationPlan::Vm(vm) = &plan.isolation {
        vm::prepare(plan, vm)?;
    }
    rootfs::enter_namespace()?;
    rootfs::mount(&plan.rootfs, &plan.run_dir)
}

/// Takes away what is left outside of the mount namespace. Never recursive: a mount that is still there must not lose
/// its files.
fn clean_up(plan: &Plan) {
    if let Some(path) = &plan.cgroup
        && let Err(error) = cgroup::reclaim(path)
    {
        eprintln!("sandbox-shim: {error}");
    }
    for mount_point in [process::ROOTFS, vm::SHARES] {
        let path = plan.run_dir.join(mount_point);
        let _ = rustix::mount::unmount(&path, UnmountFlags::DETACH);
        let _ = std::fs::remove_dir(&path);
    }
    let vsock = plan.run_dir.join(vm::VSOCK);
    for entry in std::fs::read_dir(&vsock).into_iter().flatten().flatten() {
        let _ = std::fs::remove_file(entry.path());
    }
    let _ = std::fs::remove_dir(&vsock);
    let _ = std::fs::remove_file(plan.run_dir.join(PLAN_FILE));
    let _ = std::fs::remove_dir(&plan.run_dir);
}

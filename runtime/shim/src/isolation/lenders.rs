//! Containers whose namespaces another one joins.
//!
//! Which process is a container's init only its supervisor knows, and says in `status.json`: a number, which may be
//! another process's a moment later. So the process is held by a pidfd first, then everything is taken from /proc, and
//! only then it is made sure that it was the container's all the time: a child of the supervisor that holds the
//! container's lock, and alive.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{self as oci, LinuxNamespaceType as Type};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Failure;
use crate::plan::{Join, Joined, Plan, SHM};
use crate::program::LOCK_FILE;
use crate::rootfs;
use crate::status::{self, Phase, Status};

/// What keeps the paths in the spec valid; to be held until the container is made.
#[derive(Debug)]
pub(super) struct Borrowed {
    _namespaces: Vec<OwnedFd>,
}

/// Adds the namespaces to `spec` that the plan joins, and mounts the shared memory that goes with them. Called again for
/// each start.
///
/// # Errors
/// Docker's texts for lenders that do not run.
pub(super) fn join(plan: &Plan, spec: &mut oci::Spec) -> Result<Borrowed, Failure> {
    let mut held = Vec::new();
    for join in &plan.joins {
        let lender = Lender::find(join)?;
        let (kind, file) = match join.kind {
            Joined::Pid => (Type::Pid, "pid"),
            Joined::Ipc => (Type::Ipc, "ipc"),
        };
        let namespace = lender.open(&format!("ns/{file}"))?;
        if join.kind == Joined::Ipc {
            share_memory(&lender, &plan.run_dir.join(SHM))?;
        }
        lender.check()?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", namespace.as_raw_fd()));
        held.push(namespace);
        let joined = oci::LinuxNamespaceBuilder::default().typ(kind).path(path).build();
        let joined =
            joined.map_err(|error| Failure::engine(format!("join the {kind} namespace: {error}")))?;
        let mut linux = spec.linux().clone().unwrap_or_default();
        let mut namespaces = linux.namespaces().clone().unwrap_or_default();
        namespaces.push(joined);
        linux.set_namespaces(Some(namespaces));
        spec.set_linux(Some(linux));
    }
    Ok(Borrowed { _namespaces: held })
}

/// The init of another container.
struct Lender<'a> {
    join: &'a Join,
    status: Status,
    pid: Pid,
    pidfd: OwnedFd,
}

impl<'a> Lender<'a> {
    fn find(join: &'a Join) -> Result<Self, Failure> {
        let status = status::read(&join.run_dir)
            .map_err(|error| Failure::engine(format!("read the status of container {}: {error}", join.id)))?;
        match status.as_ref().map(|status| status.phase) {
            Some(Phase::Running | Phase::Paused) => {}
            Some(Phase::Restarting) => {
                return Err(Failure::engine(format!(
                    "Container {} is restarting, wait until the container is running",
                    join.id
                )));
            }
            Some(Phase::Starting | Phase::Exited) | None => return Err(not_running(join)),
        }
        let status = status.unwrap_or_default();
        let pid = Pid::from_raw(status.pid).ok_or_else(|| not_running(join))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| not_running(join))?;
        Ok(Self { join, status, pid, pidfd })
    }

    fn open(&self, file: &str) -> Result<OwnedFd, Failure> {
        let path = format!("/proc/{}/{file}", self.pid.as_raw_nonzero());
        rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|_| not_running(self.join))
    }

    /// Whether all that was taken so far was the container's.
    fn check(&self) -> Result<(), Failure> {
        let supervisor = i32::try_from(self.status.supervisor).ok().filter(|pid| *pid > 0);
        let child = supervisor.is_some() && parent_of(self.pid) == supervisor;
        if child && is_locked(&self.join.container_dir.join(LOCK_FILE)) && self.is_alive() {
            return Ok(());
        }
        Err(not_running(self.join))
    }

    fn is_alive(&self) -> bool {
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&Timespec::default())) == Ok(0)
    }
}

fn not_running(join: &Join) -> Failure {
    Failure::engine(match join.kind {
        Joined::Pid => format!("cannot join PID of a non running container: {}", join.id),
        Joined::Ipc => {
            format!("can't join IPC of container {0}: container {0} is not running", join.id)
        }
    })
}

/// Field 4 of /proc/PID/stat (proc_pid_stat(5)); the name in brackets before it may contain anything.
fn parent_of(pid: Pid) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether somebody holds the lock. It is tried shared, so that two who look do not take each other for the owner.
fn is_locked(path: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else { return false };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Mounts the lender's /dev/shm on `at`, from where the spec binds it into the container.
fn share_memory(lender: &Lender<'_>, at: &Path) -> Result<(), Failure> {
    let mount = sandbox_container::shared_memory(lender.pidfd.as_fd()).map_err(|error| {
        Failure::engine(format!("can't join IPC of container {}: {error}", lender.join.id))
    })?;
    match rustix::fs::mkdir(at, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => rootfs::attach(&mount, at),
        Err(error) => Err(Failure::engine(format!("make {}: {error}", at.display()))),
    }
}

#[cfg(test)]
#[path = "lenders_tests.rs"]
mod tests;

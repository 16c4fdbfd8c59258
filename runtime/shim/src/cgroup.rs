//! The cgroup of one container, made and reclaimed from outside of it: the container core does the work.

use std::path::Path;

use oci_spec::runtime::LinuxResources;
use sandbox_container::{Cgroup, Error, Stats};

/// Makes the cgroup of a microVM's monitor with its limits.
///
/// # Errors
/// What was tried and why it failed.
pub(crate) fn make(path: &Path, limits: Option<&LinuxResources>) -> Result<(), Error> {
    let cgroup = Cgroup::create(path)?;
    let Some(limits) = limits else { return Ok(()) };
    cgroup.apply(limits).inspect_err(|_| {
        // The limits are what the user needs to hear about.
        let _ = cgroup.remove();
    })
}

/// Changes limits of one that is there.
///
/// # Errors
/// What was tried and why it failed.
pub(crate) fn update(path: &Path, limits: &LinuxResources) -> Result<(), Error> {
    Cgroup::open(path)?.apply(limits)
}

/// Its figures; none without it.
pub(crate) fn stats(path: &Path) -> Option<Stats> {
    Cgroup::open(path).ok().map(|cgroup| cgroup.stats())
}

/// Kills what is in it and removes it, whoever's it was; one that is not there is removed already.
///
/// # Errors
/// Of the container core.
pub(crate) fn reclaim(path: &Path) -> Result<(), Error> {
    match Cgroup::open(path) {
        Ok(cgroup) => cgroup.remove(),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Begins now what whoever joins the cgroup next would wait for: Linux keeps forks cheap and makes the first process
/// that changes its cgroup wait for a grace period of RCU, some ten milliseconds, and those that follow at once not
/// (`cgroup_threadgroup_rwsem`). A process that does not exist is as good as any to begin with; a thread waits for it.
pub(crate) fn announce_join(path: &Path) {
    /// Above every limit on process numbers.
    const NOBODY: &str = "2147483647";
    let procs = path.join("cgroup.procs");
    // Without a thread, and with a kernel that does otherwise, joining takes its time.
    let _ = std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || std::fs::write(procs, NOBODY).unwrap_or_default());
}

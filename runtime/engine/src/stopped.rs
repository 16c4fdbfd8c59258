//! The root of a container that does not run, mounted by the command itself.
//!
//! It is mounted in a mount namespace of its own that no process is in: a thread makes it, and descriptors are all that
//! keeps it. The host sees nothing of it, and however the command ends, nothing is left.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use sandbox_container::archive::Volumes;
use sandbox_shim::isolation::Failure;
use sandbox_shim::plan::{Plan, Rootfs};
use sandbox_shim::rootfs;

use crate::error::{Error, Result};
use crate::lock::Lock;

/// See the module. The order in which it is taken down is that of its members: the lock goes last.
#[derive(Debug)]
pub(crate) struct StoppedRoot {
    root: OwnedFd,
    /// Keeps what is mounted on the root.
    _namespace: OwnedFd,
    _lock: Lock,
}

impl StoppedRoot {
    /// With the container's volumes and generated files in their places.
    pub(crate) fn with_volumes(plan: &Plan, lock: Lock) -> Result<Self> {
        Self::mount(plan, lock, true)
    }

    /// The root file system alone.
    pub(crate) fn bare(plan: &Plan, lock: Lock) -> Result<Self> {
        Self::mount(plan, lock, false)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    fn mount(plan: &Plan, lock: Lock, with_volumes: bool) -> Result<Self> {
        let mounted = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("mount".to_owned());
            let thread = thread
                .spawn_scoped(scope, || mount(plan, with_volumes))
                .map_err(Error::system("start a thread"))?;
            let mounted = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            mounted.map_err(|failure| Error::invalid(failure.message))
        });
        let (root, namespace) = mounted?;
        Ok(Self { root, _namespace: namespace, _lock: lock })
    }
}

/// For a thread that ends: it cannot go back.
fn mount(plan: &Plan, with_volumes: bool) -> Result<(OwnedFd, OwnedFd), Failure> {
    rootfs::enter_namespace()?;
    let mounts = plan.spec.mounts().as_deref().filter(|_| with_volumes).unwrap_or_default();
    // Their sources may lie where the root is going to be.
    let volumes = Volumes::open(mounts)?;
    // What a killed supervisor has left half-written is not made worse by reading it.
    let layers = Rootfs { volatile: false, ..plan.rootfs.clone() };
    let place = &plan.container_dir;
    let root = rootfs::mount(&layers, place)?;
    rootfs::attach(&root, place)?;
    let read_only = plan.spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly).unwrap_or(false);
    volumes.mount(&root, read_only && with_volumes)?;
    let path = "/proc/thread-self/ns/mnt";
    let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Failure::engine(format!("open {path}: {error}")))?;
    Ok((root, namespace))
}

#[cfg(test)]
#[path = "stopped_tests.rs"]
mod tests;

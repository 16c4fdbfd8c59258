//! The bind mounts of a container that does not run, on its root: as its init would find them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Mount;

use crate::error::{Context, Error};
use crate::init::mounts::MountContext;
use crate::plan::mount::{IdMaps, MountPlan, Source};
use crate::sys::mount::{ATTR_RDONLY, MountAttr, set_attr};

/// Copies of the sources, attached nowhere yet.
#[derive(Debug)]
pub struct Volumes {
    plans: Vec<MountPlan>,
}

impl Volumes {
    /// Opens the sources of the binds among `mounts`; what the kernel makes anew at each start is left out.
    pub fn open(mounts: &[Mount]) -> Result<Self, Error> {
        let mut plans = Vec::new();
        let is_bind = |mount: &&Mount| matches!(mount.typ().as_deref(), Some("bind" | "rbind"));
        for mount in mounts.iter().filter(is_bind) {
            let plan = MountPlan::new(mount, Path::new("/"), &IdMaps { uid: &[], gid: &[] })?;
            if matches!(plan.source, Source::Bind { .. }) {
                plans.push(plan);
            }
        }
        Ok(Self { plans })
    }

    /// Mounts them beneath `root`, an attached mount of a mount namespace that this thread is in, and with `read_only`
    /// the root itself is sealed then.
    pub fn mount(mut self, root: &OwnedFd, read_only: bool) -> Result<(), Error> {
        let context = MountContext { root: root.as_fd(), cgroup: None, own_cgroup_namespace: false };
        self.plans.iter_mut().try_for_each(|plan| context.mount(plan))?;
        if read_only {
            set_attr(root.as_fd(), false, &MountAttr::set(ATTR_RDONLY))
                .context(|| "make the root read-only")?;
        }
        Ok(())
    }
}

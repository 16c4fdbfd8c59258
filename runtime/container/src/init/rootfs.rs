//! The root of the container: attached in the new mount namespace, then made the root of the process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use crate::error::{Context, Error};
use crate::plan::mount::copy;
use crate::sys::mount::{ATTR_RDONLY, MountAttr, attach, set_attr, set_root_propagation};

/// The root as the spec describes it.
#[derive(Debug)]
pub(crate) struct RootPlan {
    pub(crate) path: PathBuf,
    /// A detached copy; `None` when the parent may not make one.
    pub(crate) tree: Option<OwnedFd>,
    pub(crate) readonly: bool,
    pub(crate) propagation: Option<(u64, bool)>,
    pub(crate) no_pivot: bool,
}

impl RootPlan {
    /// Mounts the root over this namespace's "/", where it is reached through the descriptor only. Paths keep
    /// leading to the host's files until [`RootPlan::enter`].
    pub(crate) fn attach(&mut self) -> Result<OwnedFd, Error> {
        let path = self.path.display().to_string();
        // Nothing that happens here may reach the host; what the host unmounts goes here, too.
        set_root_propagation(libc::MS_SLAVE).context(|| "cut the propagation of mounts to the host")?;
        let tree = match self.tree.take() {
            Some(tree) => tree,
            None => copy(&self.path, true, &[])?
                .ok_or_else(|| Error::System { doing: format!("open root {path}"), errno: libc::EPERM })?,
        };
        let slash = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .context(|| "open /")?;
        attach(tree.as_fd(), slash.as_fd()).context(|| format!("mount root {path}"))?;
        Ok(tree)
    }

    /// Makes `root` the root and the working directory of this process and takes the host's mounts away.
    pub(crate) fn enter(&self, root: BorrowedFd<'_>) -> Result<(), Error> {
        rustix::process::fchdir(root).context(|| format!("change to root {}", self.path.display()))?;
        let pivoted = if self.no_pivot { Err(Errno::INVAL) } else { rustix::process::pivot_root(".", ".") };
        match pivoted {
            // The old root is now stacked over the new one: "." leads to the topmost.
            Ok(()) => unmount(".", UnmountFlags::DETACH).context(|| "detach the host's root")?,
            // The root of this namespace is the initramfs, which cannot be moved: the new root covers it.
            Err(Errno::INVAL) => {
                detach_others();
                rustix::process::chroot(".").context(|| "chroot")?;
            }
            Err(errno) => return Err(errno).context(|| "pivot_root"),
        }
        rustix::process::chdir("/").context(|| "change to /")?;
        if let Some((flag, recursive)) = self.propagation {
            set_attr(root, recursive, &MountAttr::propagation(flag))
                .context(|| "set linux.rootfsPropagation")?;
        }
        Ok(())
    }

    /// `root.readonly`, once everything is in place.
    pub(crate) fn seal(&self, root: BorrowedFd<'_>) -> Result<(), Error> {
        if !self.readonly {
            return Ok(());
        }
        set_attr(root, false, &MountAttr::set(ATTR_RDONLY)).context(|| "make the root read-only")
    }
}

/// Takes the host's mounts away where the root below cannot go. What cannot be detached stays behind the
/// new root, where no path leads.
fn detach_others() {
    let Ok(mountinfo) = std::fs::read_to_string("/proc/self/mountinfo") else { return };
    let mut points: Vec<&str> = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.len()));
    for point in points.into_iter().filter(|point| *point != "/") {
        let _ = unmount(Path::new(point), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
}

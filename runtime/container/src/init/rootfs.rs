//! The root of the container: attached in the new mount namespace, then made the root of the process.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use crate::error::{Context, Error};
use crate::init::mounts::open_host_proc;
use crate::plan::mount::copy;
use crate::sys;
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
    /// The root of the mount namespace when ours is another.
    pub(crate) outside: Option<OwnedFd>,
}

impl RootPlan {
    /// Mounts the root over the root of this mount namespace, where it is reached through the descriptor only. Paths keep
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
        let slash = self.namespace_root()?;
        attach(tree.as_fd(), slash.as_fd()).context(|| format!("mount root {path}"))?;
        Ok(tree)
    }

    /// The root of the mount namespace. It is not ours when the supervisor is in a chroot: a container below that
    /// chroot would not be what those arrive in who join the namespace, and `..` could lead out of it.
    fn namespace_root(&mut self) -> Result<OwnedFd, Error> {
        let open = || {
            rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .context(|| "open /")
        };
        let mount = |fd: &OwnedFd| {
            rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | StatxFlags::INO)
                .map(|stat| (stat.stx_mnt_id, stat.stx_ino))
                .context(|| "stat /")
        };
        let ours = open()?;
        let myself = pidfd_open(getpid(), PidfdFlags::empty()).context(|| "open a pidfd of this process")?;
        // Joining one's own namespace leaves a chroot.
        sys::setns(myself.as_fd(), libc::CLONE_NEWNS).context(|| "go to the root of the mount namespace")?;
        let slash = open()?;
        if mount(&ours)? != mount(&slash)? {
            rustix::process::fchdir(&ours)
                .and_then(|()| rustix::process::chroot("."))
                .context(|| "go back to the chroot")?;
            self.outside = Some(rustix::io::fcntl_dupfd_cloexec(&slash, 3).context(|| "copy a descriptor")?);
        }
        Ok(slash)
    }

    /// Makes `root` the root and the working directory of this process and takes the host's mounts away.
    pub(crate) fn enter(&self, root: BorrowedFd<'_>) -> Result<(), Error> {
        let change = |to: BorrowedFd<'_>| {
            rustix::process::fchdir(to).context(|| format!("change to root {}", self.path.display()))
        };
        let mut proc = None;
        if let Some(outside) = &self.outside {
            // There may be none where we go.
            proc = Some(open_host_proc()?);
            change(outside.as_fd())?;
            rustix::process::chroot(".").context(|| "leave the chroot")?;
        }
        change(root)?;
        let pivoted = if self.no_pivot { Err(Errno::INVAL) } else { rustix::process::pivot_root(".", ".") };
        match pivoted {
            // The old root is now stacked over the new one: "." leads to the topmost.
            Ok(()) => unmount(".", UnmountFlags::DETACH).context(|| "detach the host's root")?,
            // The root of the namespace is the initramfs, which cannot be moved. It is covered: no `..` leads to it,
            // and who joins the namespace arrives in what covers it.
            Err(Errno::INVAL) => {
                detach_all(proc.map_or_else(open_host_proc, Ok)?.as_fd())?;
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

/// Detaches every mount that a path leads to from this process's root, which lies below the container's: the container's
/// own are not among them. What cannot be detached stays where no path leads.
fn detach_all(proc: BorrowedFd<'_>) -> Result<(), Error> {
    let reading = || "read /proc/self/mountinfo";
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, "thread-self/mountinfo", flags, Mode::empty()).context(reading)?;
    let mut text = String::new();
    File::from(file).read_to_string(&mut text).context(reading)?;
    let mut points: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.len()));
    for point in points.into_iter().filter(|point| *point != "/") {
        let _ = unmount(Path::new(point), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
    Ok(())
}

//! The container's root file system: image layers below, its own upper directory on top.
//!
//! The mount is made detached, so that whoever runs the container attaches it where it belongs. Layer
//! directories are handed to the kernel as descriptors' paths: a list of 100 layers by name does not fit into the
//! one page that kernels before 6.5 take. Refuses an image without layers, which overlayfs does too.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use crate::isolation::Failure;
use crate::plan::Rootfs;

/// Gives this process a mount namespace of its own, which dies with its last process and all mounts in it.
///
/// The host's mounts become slaves: nothing of ours is seen outside, but what the host unmounts is not held by us.
///
/// # Errors
/// Which step failed, and why.
pub fn enter_namespace() -> Result<(), Failure> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
        .map_err(|error| Failure::engine(format!("make a mount namespace: {error}; root is needed")))?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|error| Failure::engine(format!("make the mount namespace private: {error}")))
}

/// Mounts the overlay, attached nowhere. `scratch` is a directory to mount on where the kernel needs one.
///
/// # Errors
/// What was tried on what, why it failed, and what to do.
pub fn mount(rootfs: &Rootfs, scratch: &Path) -> Result<OwnedFd, Failure> {
    let layers = Layers::open(rootfs)?;
    layers
        .mount_detached()
        .or_else(|error| match error {
            // No such option, or no new mount API for overlayfs: kernels before 6.5.
            Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => layers.mount_old(scratch),
            error => Err(error),
        })
        .map_err(|error| layers.explain(rootfs, error))
}

/// Lets a volatile overlay be mounted again: the kernel leaves a mark that forbids it (overlayfs.rst, "Volatile mount"),
/// for the case of a crash of the host, which `--rm` does not care about.
pub fn forgive(rootfs: &Rootfs) {
    if rootfs.volatile {
        let mark = rootfs.work.join("work/incompat");
        // Where it is not, there is nothing to forgive.
        let _ = std::fs::remove_file(mark.join("volatile/dirty"));
        let _ = std::fs::remove_dir(mark.join("volatile"));
        let _ = std::fs::remove_dir(mark);
    }
}

/// Attaches a detached mount.
///
/// # Errors
/// Where, and why it failed.
pub fn attach(mount: &OwnedFd, at: &Path) -> Result<(), Failure> {
    rustix::mount::move_mount(mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| Failure::engine(format!("mount on {}: {error}", at.display())))
}

/// The upper directory holds whole files at their own names, however the kernel was built: `diff` and `commit` read it,
/// and a layer of somebody else's must not redirect anything.
const FORMAT: [(&str, &str); 2] = [("redirect_dir", "nofollow"), ("metacopy", "off")];

#[derive(Debug)]
struct Layers {
    lower: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
    volatile: bool,
}

fn by_descriptor(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

impl Layers {
    fn open(rootfs: &Rootfs) -> Result<Self, Failure> {
        let open = |path: &Path| {
            rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(
                |error| {
                    Failure::engine(format!(
                        "open the directory {} of the container's layers: {error}",
                        path.display()
                    ))
                },
            )
        };
        Ok(Self {
            lower: rootfs.lower.iter().map(|layer| open(layer)).collect::<Result<_, _>>()?,
            upper: open(&rootfs.upper)?,
            work: open(&rootfs.work)?,
            volatile: rootfs.volatile,
        })
    }

    fn mount_detached(&self) -> Result<OwnedFd, Errno> {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let set = |key: &str, fd: &OwnedFd| {
            rustix::mount::fsconfig_set_string(context.as_fd(), key, by_descriptor(fd.as_fd()))
        };
        rustix::mount::fsconfig_set_string(context.as_fd(), "source", "overlay")?;
        for layer in &self.lower {
            set("lowerdir+", layer)?;
        }
        set("upperdir", &self.upper)?;
        set("workdir", &self.work)?;
        for (key, value) in FORMAT {
            rustix::mount::fsconfig_set_string(context.as_fd(), key, value)?;
        }
        if self.volatile {
            rustix::mount::fsconfig_set_flag(context.as_fd(), "volatile")?;
        }
        rustix::mount::fsconfig_create(context.as_fd())?;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    }

    fn mount_old(&self, scratch: &Path) -> Result<OwnedFd, Errno> {
        let lower: Vec<String> = self.lower.iter().map(|layer| by_descriptor(layer.as_fd())).collect();
        let (upper, work) = (by_descriptor(self.upper.as_fd()), by_descriptor(self.work.as_fd()));
        let volatile = if self.volatile { ",volatile" } else { "" };
        let format = FORMAT.map(|(key, value)| format!("{key}={value}")).join(",");
        let options =
            format!("lowerdir={},upperdir={upper},workdir={work},{format}{volatile}", lower.join(":"));
        let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
        rustix::mount::mount("overlay", scratch, "overlay", MountFlags::empty(), Some(options.as_c_str()))?;
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let detached = rustix::mount::open_tree(CWD, scratch, clone);
        rustix::mount::unmount(scratch, UnmountFlags::DETACH)?;
        detached
    }

    fn explain(&self, rootfs: &Rootfs, error: Errno) -> Failure {
        let what = format!(
            "mount the container's root file system (overlay of {} layers and {})",
            self.lower.len(),
            rootfs.upper.display()
        );
        let remedy = match error {
            Errno::NODEV => "; this kernel has no overlayfs: load it with `modprobe overlay`",
            Errno::INVAL | Errno::OPNOTSUPP => {
                "; the file system of the data directory may not serve as an upper layer: \
                 use one like ext4 or xfs (ftype=1) with --root"
            }
            Errno::BUSY => "; another mount uses these directories",
            _ => "",
        };
        Failure::engine(format!("{what}: {error}{remedy}"))
    }
}

#[cfg(test)]
mod tests;

//! What the microVM sees of the host: up to three directories, made of mounts that live in the supervisor's mount
//! namespace only.
//!
//! They stand on a tmpfs of their own, so that nothing of a container is ever found below the run directory from
//! outside, and removing that directory can never reach a volume. Refuses sockets, devices and FIFOs, which
//! mean nothing across the border of a machine.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};

use crate::isolation::Failure;
use crate::rootfs;

/// Name of the tmpfs's mount point in the run directory.
pub(crate) const DIRECTORY: &str = "share";
/// Where the agent mounts the shares.
pub(crate) const GUEST: &str = "/run/share";
/// The root file system's place in the share [`Share::Private`].
pub(crate) const ROOTFS: &str = "rootfs";

/// One virtio-fs device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Nobody but this microVM uses what is in it.
    Private,
    /// Writable volumes.
    Shared,
    /// Volumes that are read-only on the host's side too.
    ReadOnly,
}

impl Share {
    /// The device's tag, and the name of its directory.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::ReadOnly => "readonly",
        }
    }
}

/// A file or directory of the host that the guest gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) share: Share,
    /// Relative to the share.
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    /// Mounts below the source too.
    pub(crate) recursive: bool,
    /// What the host mounts below later appears too (`rslave`, `rshared`).
    pub(crate) follow: bool,
}

impl Entry {
    /// Where the guest finds it.
    pub(crate) fn guest_path(&self) -> PathBuf {
        Path::new(GUEST).join(self.share.tag()).join(&self.name)
    }
}

/// Makes the directory `at` of all shares, with the root file system and `entries` in place.
///
/// # Errors
/// What was tried on what, why it failed, and what to do.
pub(crate) fn make(at: &Path, overlay: &OwnedFd, entries: &[Entry]) -> Result<(), Failure> {
    make_directory(at)?;
    rustix::mount::mount(
        "sandbox",
        at,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(c"mode=0755,size=1m"),
    )
    .map_err(|error| Failure::engine(format!("mount tmpfs on {}: {error}", at.display())))?;
    let private = at.join(Share::Private.tag());
    for directory in [&private, &private.join(ROOTFS), &private.join("files")] {
        make_directory(directory)?;
    }
    rootfs::attach(overlay, &private.join(ROOTFS))?;
    for share in [Share::Shared, Share::ReadOnly] {
        if entries.iter().any(|entry| entry.share == share) {
            make_directory(&at.join(share.tag()))?;
        }
    }
    entries.iter().try_for_each(|entry| place(at, entry))
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(Failure::engine(format!("make directory {}: {error}", path.display()))),
    }
}

fn place(at: &Path, entry: &Entry) -> Result<(), Failure> {
    let fail = |doing: &str, error: rustix::io::Errno| {
        Failure::engine(format!("{doing} {} for the microVM: {error}", entry.source.display()))
    };
    let source: OwnedFd = rustix::fs::open(&entry.source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| fail("open", error))?;
    let stat = rustix::fs::fstat(&source).map_err(|error| fail("stat", error))?;
    let target = at.join(entry.share.tag()).join(&entry.name);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => make_directory(&target)?,
        FileType::RegularFile => {
            rustix::fs::open(
                &target,
                OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o644),
            )
            .map_err(|error| fail("make a mount point of", error))?;
        }
        other => return Err(refused(&entry.source, other)),
    }
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if entry.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree =
        rustix::mount::open_tree(&source, "", flags).map_err(|error| fail("clone the mount of", error))?;
    let read_only = if entry.share == Share::ReadOnly { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let propagation = if entry.follow { 0 } else { libc::MS_PRIVATE };
    set_attributes(&tree, read_only, propagation)
        .map_err(|error| fail("set the mount attributes of", error))?;
    rustix::mount::move_mount(&tree, "", CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| fail("mount", error))
}

fn refused(source: &Path, kind: FileType) -> Failure {
    let kind = match kind {
        FileType::Socket => "Unix socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Fifo => "FIFO",
        _ => "special file",
    };
    Failure::engine(format!(
        "cannot mount {} into a microVM: it is a {kind}, which works only within one machine; \
         use --isolation=process for this container, or share a directory of regular files",
        source.display()
    ))
}

/// `mount_setattr(2)` on a whole detached tree.
fn set_attributes(tree: &OwnedFd, set: u64, propagation: libc::c_ulong) -> Result<(), rustix::io::Errno> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation, userns_fd: 0 };
    let empty: &CStr = c"";
    let flags = AtFlags::EMPTY_PATH.bits() | libc::AT_RECURSIVE as u32;
    // SAFETY: the path and the attributes live for the call, and the size is that of the attributes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            empty.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(rustix::io::Errno::from_raw_os_error(nix::errno::Errno::last_raw()))
    }
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;

//! Namespaces and the jail's root: a tmpfs with the shares and the vsock directory attached.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, mkdirat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};

use super::{Error, FS_DIR, VSOCK_DIR, during};
use crate::config::VmConfig;

/// `struct mount_attr` (mount_setattr(2)).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const ATTR_RDONLY: u64 = 1;
const ATTR_NOSUID: u64 = 2;
const ATTR_NODEV: u64 = 4;
const ATTR_NOEXEC: u64 = 8;

/// Detached copies of what the jail will hold.
#[derive(Debug)]
pub(super) struct Trees(Vec<Tree>);

#[derive(Debug)]
struct Tree {
    /// Relative to the jail's root.
    at: String,
    copy: OwnedFd,
}

impl Trees {
    /// Copies the mount trees, those below included; later mounts of the host do not appear in them.
    pub(super) fn clone_from_host(config: &VmConfig) -> Result<Self, Error> {
        let mut trees = Vec::with_capacity(config.fs.len() + 1);
        for fs in &config.fs {
            let read_only = if fs.read_only { ATTR_RDONLY } else { 0 };
            trees.push(Tree {
                at: format!("{FS_DIR}/{}", fs.tag),
                copy: copy_tree(&fs.path, read_only, true)?,
            });
        }
        if let Some(vsock) = &config.vsock {
            let directory = vsock.uds_path.parent().unwrap_or(Path::new("/"));
            trees.push(Tree { at: VSOCK_DIR.to_owned(), copy: copy_tree(directory, 0, false)? });
        }
        Ok(Self(trees))
    }
}

fn copy_tree(path: &Path, attributes: u64, recursive: bool) -> Result<OwnedFd, Error> {
    let failed = |e: rustix::io::Errno| during(format!("cannot share {}", path.display()))(e.into());
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let copy = open_tree(CWD, path, flags).map_err(failed)?;
    set_attributes(copy.as_fd(), ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | attributes, recursive)
        .map_err(during(format!("cannot restrict the mount of {}", path.display())))?;
    Ok(copy)
}

/// Sets mount attributes and cuts propagation.
fn set_attributes(tree: BorrowedFd<'_>, set: u64, recursive: bool) -> io::Result<()> {
    let attributes = MountAttr { set, clear: 0, propagation: libc::MS_PRIVATE, user_namespace: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the structure has the size that is passed with it; the path is a valid empty string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves the host's namespaces and pivots into a new root with the trees.
pub(super) fn leave_host(trees: &Trees) -> Result<(), Error> {
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    // SAFETY: only changes which namespaces this process, which has one thread, is in.
    if unsafe { libc::unshare(namespaces) } != 0 {
        return Err(during("cannot make namespaces")(io::Error::last_os_error()));
    }
    let step = |what: &'static str| move |e: rustix::io::Errno| during(what)(e.into());
    // Or our mounts would appear, and our unmount happen, on the host.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(step("cannot make mounts private"))?;
    let root = tmpfs().map_err(step("cannot make a tmpfs"))?;
    move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(step("cannot mount the jail's root"))?;
    for tree in &trees.0 {
        make_directories(&root, &tree.at).map_err(step("cannot make a directory in the jail"))?;
        move_mount(&tree.copy, "", &root, tree.at.as_str(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(step("cannot mount a share in the jail"))?;
    }
    set_attributes(root.as_fd(), ATTR_RDONLY, false)
        .map_err(during("cannot make the jail's root read-only"))?;
    rustix::process::fchdir(&root).map_err(step("cannot enter the jail's root"))?;
    rustix::process::pivot_root(".", ".").map_err(step("cannot pivot into the jail's root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(step("cannot detach the host's root"))?;
    rustix::process::chdir("/").map_err(step("cannot enter the jail's root"))
}

fn tmpfs() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "mode", "0755")?;
    fsconfig_set_string(context.as_fd(), "size", "64k")?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Makes each directory of a relative path whose parts we chose ourselves.
fn make_directories(root: &OwnedFd, path: &str) -> rustix::io::Result<()> {
    for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
        let part = CString::new(&path[..end]).map_err(|_| rustix::io::Errno::INVAL)?;
        match mkdirat(root, &part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

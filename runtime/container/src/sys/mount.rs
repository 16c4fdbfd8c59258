//! The descriptor-based mount API: a mount is made detached, given its attributes, and moved onto a descriptor.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::error::{Context, Error, errno_text};

const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;

pub(crate) const ATTR_RDONLY: u64 = 0x1;
pub(crate) const ATTR_NOSUID: u64 = 0x2;
pub(crate) const ATTR_NODEV: u64 = 0x4;
pub(crate) const ATTR_NOEXEC: u64 = 0x8;
pub(crate) const ATTR_ATIME_MASK: u64 = 0x70;
pub(crate) const ATTR_RELATIME: u64 = 0;
pub(crate) const ATTR_NOATIME: u64 = 0x10;
pub(crate) const ATTR_STRICTATIME: u64 = 0x20;
pub(crate) const ATTR_NODIRATIME: u64 = 0x80;
pub(crate) const ATTR_IDMAP: u64 = 0x10_0000;
pub(crate) const ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// `struct mount_attr` of mount_setattr(2): what to set, what to clear, how mounts propagate.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE or 0.
    pub(crate) propagation: u64,
    pub(crate) userns_fd: u64,
}

impl MountAttr {
    pub(crate) fn propagation(flag: u64) -> Self {
        MountAttr { propagation: flag, ..MountAttr::default() }
    }

    pub(crate) fn set(flags: u64) -> Self {
        MountAttr { set: flags, ..MountAttr::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == MountAttr::default()
    }
}

/// Changes the mount that `mount` is the root of, with everything below it when `recursive`.
pub(crate) fn set_attr(mount: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<(), Errno> {
    set_attr_at(mount.as_raw_fd(), c"", AT_EMPTY_PATH, recursive, attr)
}

/// Changes the propagation of all mounts of this namespace.
pub(crate) fn set_root_propagation(flag: u64) -> Result<(), Errno> {
    set_attr_at(libc::AT_FDCWD, c"/", 0, true, &MountAttr::propagation(flag))
}

fn set_attr_at(
    dir: i32,
    path: &std::ffi::CStr,
    flags: usize,
    recursive: bool,
    attr: &MountAttr,
) -> Result<(), Errno> {
    let flags = flags | if recursive { AT_RECURSIVE } else { 0 };
    let (path, pointer) = (path.as_ptr() as usize, std::ptr::from_ref(attr) as usize);
    // SAFETY: a C string and a mount_attr of the given size, both alive during the call.
    unsafe {
        super::syscall(libc::SYS_mount_setattr, [dir as usize, path, flags, pointer, size_of::<MountAttr>()])
    }
    .map(drop)
}

/// A detached mount of a new file system. `options` are `key=value` or flags, `attrs` ATTR_* bits.
pub(crate) fn new_fs(kind: &str, source: &str, options: &[String], attrs: u64) -> Result<OwnedFd, Error> {
    let trying = || format!("mount {kind}");
    let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).context(trying)?;
    let told = |what: &str, result: Result<(), Errno>| {
        result.map_err(|errno| {
            let reason = kernel_log(fs.as_fd()).unwrap_or_else(|| errno_text(errno.raw_os_error()));
            Error::System { doing: format!("mount {kind}{what} ({reason})"), errno: errno.raw_os_error() }
        })
    };
    if !source.is_empty() {
        told("", fsconfig_set_string(&fs, "source", source))?;
    }
    for option in options {
        let result = match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&fs, key, value),
            None => fsconfig_set_flag(&fs, option.as_str()),
        };
        told(&format!(" with option \"{option}\""), result)?;
    }
    told("", fsconfig_create(&fs))?;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::from_bits_retain(attrs as u32))
        .context(trying)
}

/// The kernel's own words about the last failure on a file system context: "e tmpfs: Bad value for 'size'".
fn kernel_log(fs: BorrowedFd<'_>) -> Option<String> {
    let mut buffer = [0u8; 256];
    let count = rustix::io::read(fs, &mut buffer).ok()?;
    let text = String::from_utf8_lossy(buffer.get(..count)?).into_owned();
    Some(text.trim().trim_start_matches("e ").to_owned()).filter(|text| !text.is_empty())
}

/// A detached copy of the mount at `path` below `dir` ("" for `dir` itself), with what is mounted below when `recursive`.
pub(crate) fn clone_tree(
    dir: BorrowedFd<'_>,
    path: &std::path::Path,
    recursive: bool,
) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    open_tree(dir, path, flags)
}

/// Mounts the detached `mount` on what `target` refers to.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

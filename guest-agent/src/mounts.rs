//! The file systems that the initramfs lacks and the container core needs, and no more: every mount is on
//! the way of every start. `/dev/pts`, `/dev/shm` and `/dev/mqueue` are made by the core, one for each container.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};
use rustix::process::{Resource, Rlimit};

/// Where the shares of the host appear, one directory for each tag.
pub(crate) const SHARES: &str = "/run/share";
/// Parent of the containers' cgroups.
pub(crate) const CGROUPS: &str = "/sys/fs/cgroup";

/// Most open files of a process in the guest; the kernel's default of `fs.nr_open`.
const MAX_FILES: u64 = 1 << 20;

/// Makes them all.
///
/// # Errors
/// What was to be mounted where, and why that failed.
pub(crate) fn make() -> Result<(), String> {
    leave_rootfs().map_err(|error| format!("bind the initramfs over itself: {error}"))?;
    let safe = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    mount("devtmpfs", "/dev", MountFlags::NOSUID | MountFlags::NOEXEC)?;
    mount("proc", "/proc", safe)?;
    mount("sysfs", "/sys", safe)?;
    mount("cgroup2", CGROUPS, safe)?;
    enable_controllers().map_err(|error| format!("enable the cgroup controllers: {error}"))?;
    overcommit().map_err(|error| format!("let memory be overcommitted: {error}"))?;
    compile_bpf(false).map_err(|error| format!("have BPF programs interpreted: {error}"))?;
    // Containers are given what their spec says, which can only be less than what the agent has.
    let files = Rlimit { current: Some(MAX_FILES), maximum: Some(MAX_FILES) };
    rustix::process::setrlimit(Resource::Nofile, files).map_err(|error| format!("set RLIMIT_NOFILE: {error}"))
}

/// `pivot_root` refuses to work in the kernel's own root mount, so a bind mount of it becomes our root.
fn leave_rootfs() -> Result<(), Errno> {
    let copy = rustix::mount::open_tree(
        CWD,
        "/",
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )?;
    rustix::mount::move_mount(&copy, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    rustix::process::fchdir(&copy)?;
    rustix::process::chroot(".")
}

/// Mounts file system `kind` at `at`, which is made if need be. One that is there already will do.
pub(crate) fn mount(kind: &str, at: &str, flags: MountFlags) -> Result<(), String> {
    mount_from(kind, kind, at, flags)
}

/// [`mount`] with a source of its own.
pub(crate) fn mount_from(kind: &str, source: &str, at: &str, flags: MountFlags) -> Result<(), String> {
    make_directory(at).map_err(|error| format!("make directory {at}: {error}"))?;
    match rustix::mount::mount(source, at, kind, flags, None) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(error) => Err(format!("mount {kind} ({source}) on {at}: {error}")),
    }
}

/// `mkdir -p`, but most often there is nothing to do.
fn make_directory(path: &str) -> io::Result<()> {
    match rustix::fs::accessat(CWD, path, rustix::fs::Access::EXISTS, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => {
            if let Some(parent) = Path::new(path).parent().and_then(Path::to_str) {
                make_directory(parent)?;
            }
            match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Lets an allocation exceed the guest's RAM: like on a host with more memory, the container's limit is met when
/// pages are touched and ends in an OOM kill (128 + 9), not in an allocation that fails.
fn overcommit() -> io::Result<()> {
    std::fs::write("/proc/sys/vm/overcommit_memory", "1")
}

/// Whether the kernel compiles BPF programs. The first one that it compiles costs 2 MiB, filled with traps (Linux
/// kernel/bpf/core.c, `alloc_new_pack`), which is 500 page faults on the way of a start. What a start loads, a small
/// program for devices and a seccomp filter whose usual verdicts the kernel remembers, is as well interpreted.
pub(crate) fn compile_bpf(enable: bool) -> io::Result<()> {
    std::fs::write("/proc/sys/net/core/bpf_jit_enable", if enable { "1" } else { "0" })
}

/// Lets the containers' cgroups have every controller of the kernel.
fn enable_controllers() -> io::Result<()> {
    let controllers = std::fs::read_to_string(format!("{CGROUPS}/cgroup.controllers"))?;
    let enable: Vec<String> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
    std::fs::write(format!("{CGROUPS}/cgroup.subtree_control"), enable.join(" "))
}

//! What the engine hands to the supervisor: everything about one start of one container.
//!
//! Written to `<run>/<id>/plan.json` and passed by path on the shim's command line, so that a plan of any size costs one file.

use std::path::PathBuf;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use crate::log::LogPlan;

/// Name, in the run directory, of the shared memory of a container that this one joins.
pub const SHM: &str = "shm";

/// One start of one container.
#[expect(clippy::struct_excessive_bools, reason = "independent settings of one container")]
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// 64 hex digits.
    pub id: String,
    pub isolation: IsolationPlan,
    /// The same for both isolations; bind mounts carry host paths; `process.user` is filled in by the shim from [`Plan::user`].
    pub spec: Spec,
    /// Docker's `USER[:GROUP]`, resolved against the mounted rootfs; empty means root.
    pub user: String,
    /// `--group-add`, names or numbers.
    #[serde(default)]
    pub extra_groups: Vec<String>,
    pub rootfs: Rootfs,
    /// Namespaces of other containers, looked up at each start.
    #[serde(default)]
    pub joins: Vec<Join>,
    /// `<root>/containers/<id>`: the shim keeps `lock` locked there and writes `status.json`.
    pub container_dir: PathBuf,
    /// `<run>/<id>`, mode 0700, exists.
    pub run_dir: PathBuf,
    /// cgroup v2 directory to create: the container's (process) or the monitor's (vm). None: no cgroup v2 on this host.
    pub cgroup: Option<PathBuf>,
    pub tty: bool,
    /// Terminal size at the start.
    #[serde(default)]
    pub rows: u16,
    #[serde(default)]
    pub cols: u16,
    /// `-i`: stdin is a stream; otherwise /dev/null.
    pub open_stdin: bool,
    /// `--init`.
    #[serde(default)]
    pub init: bool,
    /// `--rm`: nothing of the container outlives it, so nothing needs to be synced.
    pub remove: bool,
    /// The primary client's end of file ends the container.
    pub tied: bool,
    /// What the shim sends when it ends the container on its own account (it got SIGTERM).
    #[serde(default = "sigterm")]
    pub stop_signal: i32,
    /// Seconds between the stop signal and SIGKILL; negative: never.
    pub stop_timeout_s: i64,
    /// The primary client's input is the container's.
    #[serde(default)]
    pub primary_stdin: bool,
    /// `-i` of a command that stays: stdin ends with the first client that ends it.
    #[serde(default)]
    pub stdin_once: bool,
    /// What happens after the container's end.
    #[serde(default)]
    pub restart: Restart,
    /// What becomes of its output besides.
    #[serde(default)]
    pub log: LogPlan,
    /// Whose events are told in the journal of this run directory's root; None: they are not.
    #[serde(default)]
    pub events: Option<PathBuf>,
    /// How its health is looked after.
    #[serde(default)]
    pub health: Option<Health>,
    /// `--timeout`: seconds after which the container is killed.
    #[serde(default)]
    pub timeout_s: Option<u32>,
    /// Program and arguments that the supervisor becomes at its very end when no command waits for it: it writes down
    /// the end and takes away the rest. The container's lock is its descriptor 4.
    #[serde(default)]
    pub reaper: Vec<String>,
}

/// A namespace that is joined, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    pub kind: Joined,
    /// 64 hex digits.
    pub id: String,
    /// Where its supervisor holds the lock...
    pub container_dir: PathBuf,
    /// ...and where it says what it does.
    pub run_dir: PathBuf,
}

/// What of another container can be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Joined {
    Pid,
    /// With its /dev/shm.
    Ipc,
}

/// `--restart`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "policy")]
pub enum Restart {
    #[default]
    No,
    /// Unless it was stopped by somebody; by the next boot that is forgotten.
    Always,
    /// The same, and a boot does not forget it.
    UnlessStopped,
    /// When it ends with another code than 0, `max` times at the most; 0: any number of times.
    OnFailure { max: u32 },
}

fn sigterm() -> i32 {
    libc::SIGTERM
}

/// A health check: a command that is run in the container now and then. Times are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Between the end of one and the start of the next.
    pub interval_ns: u64,
    /// One that takes longer has failed.
    pub timeout_ns: u64,
    /// Failures in the first time after the start do not count...
    pub start_period_ns: u64,
    /// ...in which they are so far apart.
    pub start_interval_ns: u64,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
}

/// The overlay mount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rootfs {
    /// Top-most first, as overlayfs wants `lowerdir`.
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
    /// No durability is needed (`volatile`).
    pub volatile: bool,
}

/// Where the container runs.
#[expect(clippy::large_enum_variant, reason = "there is one per process")]
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IsolationPlan {
    Process,
    Vm(VmPlan),
}

impl IsolationPlan {
    /// For a container that nobody watches: nothing shows a console, and a guest that writes to one for ever would fill
    /// the disk.
    pub fn unwatched(&mut self) {
        match self {
            Self::Process => {}
            Self::Vm(vm) => vm.serial = false,
        }
    }
}

/// What the microVM needs beyond the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VmPlan {
    pub vmm: PathBuf,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub cmdline: String,
    pub memory_mib: u64,
    pub vcpus: u8,
    pub boot_deadline_ms: u64,
    pub serial: bool,
    /// Unprivileged ids of the jailed monitor.
    pub uid: u32,
    pub gid: u32,
    /// Limits on the monitor's own cgroup.
    pub resources: Option<oci_spec::runtime::LinuxResources>,
}

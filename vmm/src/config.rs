//! What a caller asks of the monitor: one machine, described once, before it is built.
//!
//! All paths are host paths as the caller sees them; the jail maps them to its own root.
//! Refuses nothing itself: [`VmConfig::validate`] is where bounds are enforced.

mod validate;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use validate::Invalid;

/// A whole machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmConfig {
    /// Uncompressed ELF `vmlinux` with a PVH note.
    pub kernel: PathBuf,
    /// Plain cpio (newc) archive.
    pub initramfs: PathBuf,
    /// Appended to the built-in kernel command line.
    #[serde(default)]
    pub cmdline: String,
    /// Guest RAM in MiB.
    pub memory_mib: u64,
    /// Number of virtual CPUs, 1 or more.
    pub vcpus: u8,
    /// Milliseconds between the first `KVM_RUN` and the `Booted` command; the guest is killed after that. 0 = none.
    pub boot_deadline_ms: u64,
    /// A full 16550 with its output copied to stderr of the monitor, and a verbose guest kernel.
    #[serde(default)]
    pub serial: bool,
    #[serde(default)]
    pub fs: Vec<FsConfig>,
    #[serde(default)]
    pub vsock: Option<VsockConfig>,
    #[serde(default)]
    pub net: Vec<NetConfig>,
    #[serde(default)]
    pub block: Vec<BlockConfig>,
    #[serde(default)]
    pub rng: bool,
    /// A balloon with free page reporting.
    #[serde(default)]
    pub balloon: bool,
    /// None: run with the caller's privileges (unit tests, development).
    #[serde(default)]
    pub jail: Option<JailConfig>,
}

/// One virtio-fs device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsConfig {
    /// 1 to 36 bytes, unique in the machine.
    pub tag: String,
    /// Directory to share; mounts below it are followed.
    pub path: PathBuf,
    pub cache: CacheMode,
    #[serde(default)]
    pub read_only: bool,
}

/// How far the guest may trust its cache of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// Nobody else changes the share: writeback cache, unlimited timeouts.
    Private,
    /// Others write it too: every change is seen at once on both sides.
    Coherent,
}

/// Hybrid vsock: guest port P connects to the unix socket `<uds_path>_<P>`; a host process
/// connects to `<uds_path>`, writes `CONNECT <port>\n` and reads `OK <host port>\n`.
///
/// The directory of `uds_path` is the machine's own. A jailed monitor gives it, and the sockets `<uds_path>_*` that
/// exist when it starts, to its user; later ones must let that user connect. `uds_path` itself must not exist.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockConfig {
    /// The guest's context id, 3 or more.
    pub cid: u32,
    pub uds_path: PathBuf,
}

/// One virtio-net device on an existing tap.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetConfig {
    pub tap: String,
    pub mac: [u8; 6],
    #[serde(default)]
    pub mtu: Option<u16>,
}

/// One virtio-blk device. Raw files and block devices only: no format is ever probed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockConfig {
    pub path: PathBuf,
    #[serde(default)]
    pub read_only: bool,
    /// At most 20 bytes, answered to VIRTIO_BLK_T_GET_ID.
    #[serde(default)]
    pub serial: String,
}

/// Where and as whom the monitor runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JailConfig {
    pub uid: u32,
    pub gid: u32,
    /// cgroup v2 directory to join after `KVM_CREATE_VM`.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
    /// RLIMIT_NOFILE, clamped to the hard limit.
    pub max_files: u64,
}

//! What a front end asks for: one container, with the flags' texts already parsed.
//!
//! It is stored as JSON in the container's directory, so that a later start, `inspect` and the API see what
//! was asked and not what it was turned into.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sandbox_shim::plan::Restart;
use serde::{Deserialize, Serialize};

use crate::health::Wish;
use crate::isolation::Isolation;
use crate::parse::block_io::{Throttle, Weight};
use crate::parse::device::Device;
use crate::parse::mount::Mount;
use crate::parse::namespace::Namespaces;
use crate::parse::security::Security;
use crate::parse::ulimit::Ulimit;
use crate::parse::volumes_from::VolumesFrom;

/// One container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The image as the user named it.
    pub image: String,
    /// None: one is made up.
    pub name: Option<String>,
    pub isolation: Isolation,
    /// `--rm`.
    pub auto_remove: bool,
    pub process: Process,
    pub limits: Limits,
    pub privileges: Privileges,
    pub labels: BTreeMap<String, String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub network: Network,
    pub namespaces: Namespaces,
    /// `--expose`, as images name ports: `80/tcp`.
    pub exposed: BTreeSet<String>,
    /// `-v`, `--mount` and `--tmpfs` together.
    pub mounts: Vec<Mount>,
    pub volumes_from: Vec<VolumesFrom>,
    pub devices: Vec<Device>,
    /// `--device-cgroup-rule`: `c 1:3 rwm`.
    pub device_rules: Vec<String>,
    /// The root file system is mounted read-only.
    pub read_only: bool,
    /// A reaping init as PID 1.
    pub init: bool,
    /// `--cgroup-parent`, below the cgroup v2 tree's root; None: the engine's own.
    pub cgroup_parent: Option<String>,
    /// Bytes of /dev/shm; None: 64 MiB.
    pub shm_size: Option<i64>,
    pub sysctls: BTreeMap<String, String>,
    pub restart: Restart,
    pub log: Log,
    /// None: as the image has it.
    pub health: Option<Wish>,
    /// `--timeout`: seconds after which the container is killed.
    pub timeout: Option<u32>,
    pub annotations: BTreeMap<String, String>,
    pub vm: Vm,
}

/// `--log-driver` and `--log-opt`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// None: the default.
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
}

/// The process, as far as it was said; the image fills in the rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// `--entrypoint`: an empty text takes the image's away.
    pub entrypoint: Option<String>,
    /// What stands behind the image's name.
    pub command: Vec<String>,
    /// `KEY=VALUE`, or `KEY` to take it out of the image's.
    pub env: Vec<String>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    pub groups: Vec<String>,
    pub tty: bool,
    pub open_stdin: bool,
    /// stdin ends with the first client that ends it.
    pub stdin_once: bool,
    pub stop_signal: Option<i32>,
    /// Seconds; below 0: it is never killed for not stopping.
    pub stop_timeout: Option<i32>,
    pub ulimits: Vec<Ulimit>,
    pub oom_score_adj: Option<i32>,
}

/// cgroup limits; None is Docker's default, no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1: no limit on swap.
    pub memory_swap: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<i64>,
    /// Billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// Microseconds in which `cpu_quota` microseconds of CPU may be used: `nano_cpus` in the kernel's words.
    pub cpu_period: Option<i64>,
    pub cpu_quota: Option<i64>,
    /// Relative weight, 2 to 262144.
    pub cpu_shares: Option<u64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    /// -1: no limit.
    pub pids: Option<i64>,
    pub block_io: BlockIo,
}

/// Limits on block devices of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockIo {
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    pub weights: Vec<Weight>,
    pub read_bps: Vec<Throttle>,
    pub write_bps: Vec<Throttle>,
    pub read_iops: Vec<Throttle>,
    pub write_iops: Vec<Throttle>,
}

impl BlockIo {
    pub(crate) fn is_asked(&self) -> bool {
        *self != BlockIo::default()
    }
}

/// What the process may do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Privileges {
    pub privileged: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security: Security,
}

/// `--network`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A network namespace of its own.
    #[default]
    Default,
    /// The same with nothing but the loopback.
    None,
    /// The host's.
    Host,
}

impl Network {
    /// Docker's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Network::Default => "bridge",
            Network::None => "none",
            Network::Host => "host",
        }
    }
}

impl std::str::FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Network, String> {
        match text {
            "" | "default" | "bridge" => Ok(Network::Default),
            "none" => Ok(Network::None),
            "host" => Ok(Network::Host),
            other => Err(format!("network {other} not found")),
        }
    }
}

/// What only `--isolation=vm` has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Vm {
    /// `--kernel`.
    pub kernel: Option<PathBuf>,
    /// `--boot-log`: the guest's serial console on stderr.
    pub boot_log: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_own_json() {
        let request = Request {
            image: "alpine".to_owned(),
            isolation: Isolation::Vm,
            limits: Limits { memory: Some(64 << 20), ..Limits::default() },
            ..Request::default()
        };
        let text = serde_json::to_string(&request).unwrap();
        let back: Request = serde_json::from_str(&text).unwrap();
        assert_eq!(back.isolation, Isolation::Vm);
        assert_eq!(back.limits, request.limits);
        let old: Request = serde_json::from_str(r#"{"image":"x"}"#).unwrap();
        assert_eq!(old.image, "x");
    }

    #[test]
    fn networks() {
        assert_eq!("none".parse(), Ok(Network::None));
        assert_eq!("bridge".parse(), Ok(Network::Default));
        assert_eq!("nope".parse::<Network>(), Err("network nope not found".to_owned()));
    }
}

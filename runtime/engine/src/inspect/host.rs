//! What a container has of the host.

use std::collections::BTreeMap;

use sandbox_container::defaults;
use sandbox_shim::log::DEFAULT_DRIVER;
use sandbox_shim::plan::Restart;
use serde::Serialize;

use super::mounts;
use crate::isolation::Isolation;
use crate::parse::mount::Source;
use crate::parse::security::Seccomp;
use crate::parse::ulimit;
use crate::recipe::Recipe;
use crate::state::containers::Container;

/// /dev/shm without `--shm-size`, bytes.
const SHM_SIZE: i64 = 64 << 20;

/// Docker's `HostConfig`, as far as it can be set here.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "members of Docker's API")]
pub struct HostConfig {
    pub binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: LogConfig,
    pub network_mode: String,
    pub port_bindings: BTreeMap<String, Vec<String>>,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    pub annotations: BTreeMap<String, String>,
    pub cap_add: Option<Vec<String>>,
    pub cap_drop: Option<Vec<String>>,
    pub cgroupns_mode: &'static str,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    pub extra_hosts: Option<Vec<String>>,
    pub group_add: Option<Vec<String>>,
    pub ipc_mode: &'static str,
    pub links: Option<Vec<String>>,
    pub oom_score_adj: i32,
    pub pid_mode: &'static str,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: &'static str,
    pub userns_mode: &'static str,
    pub shm_size: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    pub runtime: &'static str,
    pub isolation: Isolation,
    pub cpu_shares: u64,
    pub memory: i64,
    pub nano_cpus: i64,
    pub cgroup_parent: &'static str,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Vec<Device>,
    pub memory_reservation: i64,
    pub memory_swap: i64,
    pub oom_kill_disable: bool,
    /// `None`: no limit.
    pub pids_limit: Option<i64>,
    pub ulimits: Vec<Ulimit>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub init: bool,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogConfig {
    #[serde(rename = "Type")]
    pub kind: String,
    pub config: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RestartPolicy {
    pub name: &'static str,
    pub maximum_retry_count: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Device {
    pub path_on_host: String,
    pub path_in_container: String,
    pub cgroup_permissions: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ulimit {
    pub name: &'static str,
    /// -1: no limit.
    pub hard: i64,
    pub soft: i64,
}

impl From<Restart> for RestartPolicy {
    fn from(restart: Restart) -> RestartPolicy {
        let (name, maximum_retry_count) = match restart {
            Restart::No => ("no", 0),
            Restart::Always => ("always", 0),
            Restart::UnlessStopped => ("unless-stopped", 0),
            Restart::OnFailure { max } => ("on-failure", max),
        };
        RestartPolicy { name, maximum_retry_count }
    }
}

impl HostConfig {
    pub(super) fn of(container: &Container, recipe: &Recipe) -> HostConfig {
        let request = &recipe.request;
        let (limits, privileges) = (&request.limits, &request.privileges);
        let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
        let binds = mounts::binds(recipe);
        let open_paths = privileges.privileged || privileges.security.unconfined_paths;
        let guarded = |paths: fn() -> Vec<String>| if open_paths { Vec::new() } else { paths() };
        HostConfig {
            binds: some(binds),
            container_id_file: String::new(),
            log_config: LogConfig {
                kind: request.log.driver.clone().unwrap_or_else(|| DEFAULT_DRIVER.to_owned()),
                config: request.log.options.clone(),
            },
            network_mode: request.network.name().to_owned(),
            port_bindings: BTreeMap::new(),
            restart_policy: request.restart.into(),
            auto_remove: container.auto_remove,
            annotations: request.annotations.clone(),
            cap_add: some(capabilities(&privileges.cap_add)),
            cap_drop: some(capabilities(&privileges.cap_drop)),
            cgroupns_mode: "private",
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            extra_hosts: None,
            group_add: some(request.process.groups.clone()),
            ipc_mode: "private",
            links: None,
            oom_score_adj: request.process.oom_score_adj.unwrap_or(0),
            pid_mode: "",
            privileged: privileges.privileged,
            publish_all_ports: false,
            readonly_rootfs: request.read_only,
            security_opt: some(security(recipe)),
            tmpfs: tmpfs(recipe),
            uts_mode: "",
            userns_mode: "",
            shm_size: request.shm_size.unwrap_or(SHM_SIZE),
            sysctls: request.sysctls.clone(),
            runtime: "sandbox",
            isolation: container.isolation,
            cpu_shares: limits.cpu_shares.unwrap_or(0),
            memory: limits.memory.unwrap_or(0),
            nano_cpus: limits.nano_cpus.unwrap_or(0),
            cgroup_parent: "",
            cpuset_cpus: limits.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: limits.cpuset_mems.clone().unwrap_or_default(),
            devices: devices(recipe),
            memory_reservation: limits.memory_reservation.unwrap_or(0),
            memory_swap: memory_swap(limits.memory, limits.memory_swap),
            oom_kill_disable: false,
            pids_limit: limits.pids.filter(|pids| *pids > 0),
            ulimits: ulimits(recipe),
            init: request.init,
            masked_paths: guarded(defaults::masked_paths),
            readonly_paths: guarded(defaults::readonly_paths),
        }
    }
}

/// Docker's default is as much swap as memory.
fn memory_swap(memory: Option<i64>, swap: Option<i64>) -> i64 {
    swap.unwrap_or_else(|| memory.unwrap_or(0).saturating_mul(2))
}

/// As `CAP_NAME`, however they were written.
fn capabilities(names: &[String]) -> Vec<String> {
    let normal = |name: &String| {
        let upper = name.to_ascii_uppercase();
        if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
    };
    names.iter().map(normal).collect()
}

/// The options that make what is stored.
fn security(recipe: &Recipe) -> Vec<String> {
    let security = &recipe.request.privileges.security;
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &security.seccomp {
        Seccomp::Default => {}
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::Profile(profile) => options.push(format!("seccomp={profile}")),
    }
    options.extend(security.apparmor.as_ref().map(|profile| format!("apparmor={profile}")));
    if security.unconfined_paths {
        options.push("systempaths=unconfined".to_owned());
    }
    if security.writable_cgroups {
        options.push("writable-cgroups=true".to_owned());
    }
    options
}

fn tmpfs(recipe: &Recipe) -> BTreeMap<String, String> {
    let options = |mount: &crate::spec::Resolved| match &mount.mount.source {
        Source::Tmpfs { options } => Some((mount.mount.target.clone(), options.join(","))),
        _ => None,
    };
    recipe.mounts.iter().filter_map(options).collect()
}

fn devices(recipe: &Recipe) -> Vec<Device> {
    let device = |device: &crate::parse::device::Device| Device {
        path_on_host: device.host.clone(),
        path_in_container: device.container.clone(),
        cgroup_permissions: device.access.clone(),
    };
    recipe.request.devices.iter().map(device).collect()
}

fn ulimits(recipe: &Recipe) -> Vec<Ulimit> {
    let number = |limit: u64| i64::try_from(limit).unwrap_or(-1);
    let limit = |limit: &ulimit::Ulimit| Ulimit {
        name: ulimit::name(limit.kind),
        hard: number(limit.hard),
        soft: number(limit.soft),
    };
    recipe.request.process.ulimits.iter().map(limit).collect()
}

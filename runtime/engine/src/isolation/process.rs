//! `--isolation=process`: the container's kernel is the host's.

use std::path::Path;

use oci_spec::runtime::LinuxDevice;
use sandbox_shim::plan::IsolationPlan;

use super::{Host, Rules};
use crate::error::{Error, Result};
use crate::installation::Installation;
use crate::parse::device::Device;
use crate::parse::namespace::Pid;
use crate::request::{Limits, Request};

/// There when SELinux is enabled.
const SELINUX: &str = "/sys/fs/selinux/enforce";

pub(super) struct Process;

impl Rules for Process {
    fn check(&self, request: &Request, host: &Host) -> Result<()> {
        let only_vm = |flag: &str| Err(Error::invalid(format!("{flag} needs --isolation=vm")));
        if request.vm.kernel.is_some() {
            return only_vm("--kernel");
        }
        if request.vm.boot_log {
            return only_vm("--boot-log");
        }
        if host.cgroup.is_none() && request.namespaces.pid != Pid::Private {
            return Err(Error::invalid(
                "--pid: without a PID namespace of its own a container's processes are ended by its cgroup, and no \
                 cgroup v2 tree is mounted on this host; mount one, boot with systemd.unified_cgroup_hierarchy=1, or \
                 leave the option out",
            ));
        }
        if !request.privileges.security.labels.is_empty() && Path::new(SELINUX).exists() {
            return Err(Error::invalid(
                "--security-opt label=...: SELinux is enabled on this host, and its labels are not applied; \
                 use label=disable",
            ));
        }
        check_controllers(&request.limits, host)
    }

    fn check_lender(&self) -> std::result::Result<(), &'static str> {
        Ok(())
    }

    fn devices(&self, device: &Device) -> Result<Vec<LinuxDevice>> {
        crate::spec::host_devices(device)
    }

    fn container_limits(&self, limits: &Limits) -> Limits {
        limits.clone()
    }

    fn plan(&self, _request: &Request, _host: &Host, _installation: &Installation) -> Result<IsolationPlan> {
        Ok(IsolationPlan::Process)
    }
}

/// A limit that the host cannot keep is refused; it is never dropped.
pub(super) fn check_controllers(limits: &Limits, host: &Host) -> Result<()> {
    let needs = [
        ("memory", "-m", limits.memory.or(limits.memory_reservation).is_some_and(|m| m != 0)),
        ("cpu", "--cpus", limits.nano_cpus.is_some_and(|n| n != 0)),
        ("cpu", "--cpu-period", limits.cpu_period.is_some_and(|p| p != 0)),
        ("cpu", "--cpu-quota", limits.cpu_quota.is_some_and(|q| q != 0)),
        ("cpu", "--cpu-shares", limits.cpu_shares.is_some_and(|s| s != 0)),
        ("cpuset", "--cpuset-cpus", limits.cpuset_cpus.is_some() || limits.cpuset_mems.is_some()),
        ("pids", "--pids-limit", limits.pids.is_some_and(|p| p > 0)),
        ("io", "--blkio-weight, --device-read-bps and their like", limits.block_io.is_asked()),
    ];
    for (controller, flag, needed) in needs {
        if !needed {
            continue;
        }
        let Some(hierarchy) = &host.cgroup else {
            return Err(Error::invalid(format!(
                "{flag}: no cgroup v2 tree is mounted on this host; mount one, boot with \
                 systemd.unified_cgroup_hierarchy=1, or use --isolation=vm"
            )));
        };
        if !hierarchy.has(controller) {
            return Err(Error::invalid(format!(
                "{flag}: the {controller} controller is not in the cgroup v2 tree at {}; boot with \
                 systemd.unified_cgroup_hierarchy=1, or use --isolation=vm",
                hierarchy.path.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Hierarchy;
    use crate::settings::VmSettings;

    fn host(controllers: &str) -> Host {
        Host { cpus: 2, cgroup: Some(Hierarchy::new("/cg".into(), controllers)), vm: VmSettings::default() }
    }

    #[test]
    fn limits_need_their_controller() {
        let mut request = Request::default();
        Process.check(&request, &Host { cpus: 2, cgroup: None, vm: VmSettings::default() }).unwrap();
        request.limits.memory = Some(64 << 20);
        Process.check(&request, &host("cpu memory pids")).unwrap();
        let text = Process.check(&request, &host("cpu pids")).unwrap_err().to_string();
        assert!(text.starts_with("-m: the memory controller is not in the cgroup v2 tree at /cg"), "{text}");
        let text = Process
            .check(&request, &Host { cpus: 2, cgroup: None, vm: VmSettings::default() })
            .unwrap_err()
            .to_string();
        assert!(text.starts_with("-m: no cgroup v2 tree"), "{text}");
    }

    #[test]
    fn the_hosts_processes_need_a_cgroup_to_be_told_apart() {
        let mut request = Request::default();
        request.namespaces.pid = Pid::Host;
        Process.check(&request, &host("")).unwrap();
        let text = Process
            .check(&request, &Host { cpus: 2, cgroup: None, vm: crate::settings::VmSettings::default() })
            .unwrap_err()
            .to_string();
        assert!(text.starts_with("--pid: without a PID namespace"), "{text}");
    }

    #[test]
    fn flags_of_the_vm() {
        let mut request = Request::default();
        request.vm.boot_log = true;
        assert_eq!(
            Process.check(&request, &host("")).unwrap_err().to_string(),
            "--boot-log needs --isolation=vm"
        );
    }
}

//! Where a container runs, and what a request may mean there.
//!
//! This is the one place that knows the difference: a flag that cannot mean anything in a VM is refused
//! here with a text that says so, sizes of the machine are decided here, and everything else of
//! the engine treats both isolations alike. There is never a fall-back from one to the other.

mod guest_devices;
mod process;
mod vm;

use oci_spec::runtime::LinuxDevice;
use sandbox_shim::plan::IsolationPlan;
use serde::{Deserialize, Serialize};

use crate::cgroup::Hierarchy;
use crate::error::{Error, Result};
use crate::installation::Installation;
use crate::parse::device::Device;
use crate::parse::namespace::{Ipc, Scope};
use crate::request::{Limits, Network, Request};
use crate::settings::VmSettings;

/// `--isolation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Isolation {
    /// Linux namespaces on the host.
    #[default]
    Process,
    /// A microVM of its own.
    Vm,
}

impl Isolation {
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::Process => "process",
            Isolation::Vm => "vm",
        }
    }

    /// The flag's value, else the setting.
    pub fn choose(flag: Option<&str>, setting: Isolation) -> Result<Isolation> {
        match flag.filter(|text| !text.is_empty() && *text != "default") {
            Some(text) => text.parse().map_err(Error::Invalid),
            None => Ok(setting),
        }
    }

    fn rules(self) -> &'static dyn Rules {
        match self {
            Isolation::Process => &process::Process,
            Isolation::Vm => &vm::Vm,
        }
    }
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl TryFrom<String> for Isolation {
    type Error = String;
    fn try_from(text: String) -> Result<Isolation, String> {
        text.parse()
    }
}

impl std::str::FromStr for Isolation {
    type Err = String;
    fn from_str(text: &str) -> Result<Isolation, String> {
        match text {
            "process" | "container" => Ok(Isolation::Process),
            "vm" => Ok(Isolation::Vm),
            other => Err(format!("invalid isolation '{other}' on linux")),
        }
    }
}

/// What the host has to offer, as far as a request asks for it, and what a VM on it has by default.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub cpus: usize,
    pub cgroup: Option<Hierarchy>,
    pub vm: VmSettings,
}

impl Host {
    /// CPUs are counted only for a limit on them: that takes a dozen system calls.
    pub(crate) fn look(limits: &Limits, vm: &VmSettings) -> Host {
        let count = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let asked = limits.nano_cpus.is_some() || limits.cpuset_cpus.is_some();
        Host { cpus: if asked { count() } else { 1 }, cgroup: Hierarchy::find(), vm: vm.clone() }
    }
}

/// What an isolation makes of a request.
trait Rules {
    /// Refuses what cannot mean anything here.
    fn check(&self, request: &Request, host: &Host) -> Result<()>;
    /// Whether another container may join the namespaces of one that runs here; else why not.
    fn check_lender(&self) -> std::result::Result<(), &'static str>;
    /// The nodes for one `--device`.
    fn devices(&self, device: &Device) -> Result<Vec<LinuxDevice>>;
    /// The limits that the container's own cgroup gets, where its kernel is.
    fn container_limits(&self, limits: &Limits) -> Limits;
    /// The part of the start plan that is different.
    fn plan(&self, request: &Request, host: &Host, installation: &Installation) -> Result<IsolationPlan>;
}

/// All checks of a request that need no image: the common ones and those of its isolation.
pub(crate) fn check(request: &Request, host: &Host) -> Result<()> {
    crate::spec::check_limits(&request.limits, host.cpus)?;
    check_hostname(request)?;
    check_uts(request)?;
    if let Some(parent) = &request.cgroup_parent {
        crate::cgroup::check_parent(parent)?;
        if host.cgroup.is_none() {
            return Err(Error::invalid(
                "--cgroup-parent: no cgroup v2 tree is mounted on this host; mount one, boot with \
                 systemd.unified_cgroup_hierarchy=1, or leave the option out",
            ));
        }
    }
    check_sysctls(request)?;
    request.isolation.rules().check(request, host)
}

pub(crate) fn check_lender(isolation: Isolation) -> std::result::Result<(), &'static str> {
    isolation.rules().check_lender()
}

pub(crate) fn devices(isolation: Isolation, device: &Device) -> Result<Vec<LinuxDevice>> {
    isolation.rules().devices(device)
}

pub(crate) fn container_limits(isolation: Isolation, limits: &Limits) -> Limits {
    isolation.rules().container_limits(limits)
}

pub(crate) fn plan(request: &Request, host: &Host, installation: &Installation) -> Result<IsolationPlan> {
    request.isolation.rules().plan(request, host, installation)
}

/// The kernel takes at most 64 bytes (`__NEW_UTS_LEN`); names are those of RFC 1123.
fn check_hostname(request: &Request) -> Result<()> {
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    for (what, name) in [("hostname", &request.hostname), ("domainname", &request.domainname)] {
        if let Some(name) = name
            && (name.len() > 64 || !name.split('.').all(label))
        {
            return Err(Error::invalid(format!("invalid {what}: {name}")));
        }
    }
    Ok(())
}

/// Names in the host's UTS namespace would be the host's own.
fn check_uts(request: &Request) -> Result<()> {
    let host = request.namespaces.uts == Scope::Host;
    for (what, name) in [("hostname", &request.hostname), ("domainname", &request.domainname)] {
        if host && name.is_some() {
            return Err(Error::invalid(format!("conflicting options: {what} and the UTS mode")));
        }
    }
    Ok(())
}

/// Sysctls of a namespace that the container owns; the kernel has no others that could be set for one
/// container alone. In a VM it owns all of them.
fn check_sysctls(request: &Request) -> Result<()> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    for key in request.sysctls.keys() {
        let dotted = key.replace('/', ".");
        let net = dotted.starts_with("net.");
        let ipc = dotted.starts_with("fs.mqueue.") || IPC.contains(&dotted.as_str());
        if net && request.network == Network::Host {
            return Err(Error::invalid(format!("sysctl '{key}' not allowed in host network namespace")));
        }
        if ipc && request.namespaces.ipc == Ipc::Host {
            return Err(Error::invalid(format!("sysctl '{key}' not allowed in host ipc namespace")));
        }
        let own = net || ipc;
        if !own && request.isolation == Isolation::Process {
            return Err(Error::invalid(format!(
                "sysctl '{key}' is not allowed: it is the host's; --isolation=vm has a kernel of its own"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("process", Ok(Isolation::Process))]
    #[case("container", Ok(Isolation::Process))]
    #[case("vm", Ok(Isolation::Vm))]
    #[case("hyperv", Err("invalid isolation 'hyperv' on linux"))]
    #[case("VM", Err("invalid isolation 'VM' on linux"))]
    fn values(#[case] text: &str, #[case] want: Result<Isolation, &str>) {
        assert_eq!(text.parse(), want.map_err(str::to_owned));
    }

    fn host() -> Host {
        Host { cpus: 4, cgroup: None, vm: VmSettings::default() }
    }

    fn with_sysctl(key: &str, isolation: Isolation) -> Request {
        let sysctls = [(key.to_owned(), "1".to_owned())].into();
        Request { isolation, sysctls, ..Request::default() }
    }

    #[rstest]
    #[case("net.ipv4.ip_forward", true)]
    #[case("kernel.shmmax", true)]
    #[case("fs.mqueue.msg_max", true)]
    #[case("kernel.panic", false)]
    #[case("vm.swappiness", false)]
    fn sysctls(#[case] key: &str, #[case] on_host: bool) {
        assert_eq!(check(&with_sysctl(key, Isolation::Process), &host()).is_ok(), on_host);
        assert!(check(&with_sysctl(key, Isolation::Vm), &host()).is_ok());
    }

    #[test]
    fn what_would_change_the_host() {
        let mut request = Request { hostname: Some("web".to_owned()), ..Request::default() };
        request.namespaces.uts = Scope::Host;
        let text = check(&request, &host()).unwrap_err().to_string();
        assert_eq!(text, "conflicting options: hostname and the UTS mode");
        let mut request = with_sysctl("kernel.shmmax", Isolation::Process);
        request.namespaces.ipc = Ipc::Host;
        let text = check(&request, &host()).unwrap_err().to_string();
        assert_eq!(text, "sysctl 'kernel.shmmax' not allowed in host ipc namespace");
        let request = Request { cgroup_parent: Some("/ours".to_owned()), ..Request::default() };
        assert!(
            check(&request, &host()).unwrap_err().to_string().starts_with("--cgroup-parent: no cgroup v2")
        );
    }

    #[rstest]
    #[case("web", true)]
    #[case("web-1.example.org", true)]
    #[case("-web", false)]
    #[case("web..x", false)]
    #[case("a b", false)]
    #[case("", false)]
    fn hostnames(#[case] name: &str, #[case] good: bool) {
        let request = Request { hostname: Some(name.to_owned()), ..Request::default() };
        assert_eq!(check(&request, &host()).is_ok(), good);
    }
}

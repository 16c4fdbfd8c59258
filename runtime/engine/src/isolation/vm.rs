//! `--isolation=vm`: the container has a kernel, memory and CPUs of its own.
//!
//! * `-m N` is what the container gets, so the machine gets N and what its kernel and agent need besides.
//!   Without `-m` it has what the settings say, 512 MiB.
//! * `--cpus C` is C rounded up in virtual CPUs, and a quota of C on both sides. Without it there are as
//!   many as `--cpuset-cpus` names, or what the settings say, one: each further CPU is brought up while the
//!   guest boots, and most containers never use it.
//! * `--cpuset-cpus`, `--cpuset-mems` and limits on block devices name things of the host, so they bind the monitor, not
//!   the guest.
//! * `--device` means a device that the guest's kernel has.

use oci_spec::runtime::{LinuxDevice, LinuxMemory, LinuxPids, LinuxResources};
use sandbox_shim::plan::{IsolationPlan, VmPlan};

use super::{Host, Rules, guest_devices};
use crate::error::{Error, Result};
use crate::installation::Installation;
use crate::parse::device::Device;
use crate::parse::limit;
use crate::parse::namespace::{Ipc, Namespaces, Pid, Scope};
use crate::request::{BlockIo, Limits, Network, Request};
use crate::settings::VmSettings;

/// What the guest needs besides the container's memory, MiB: the kernel takes 18, agent and initramfs 10, the
/// rest is room for slabs and for the kernel to breathe when the container is at its limit.
const GUEST_OVERHEAD_MIB: u64 = crate::settings::LEAST_VM_MEMORY_MIB;
/// And one in so many bytes: `struct page` is 64 bytes per 4 KiB, page tables and per-CPU data come on top.
const GUEST_OVERHEAD_SHARE: u64 = 32;
/// The monitor's cgroup may use this much besides guest RAM, MiB: its own few, and page cache of shared files.
const MONITOR_HEADROOM_MIB: u64 = 128;
/// More guest RAM than this is a mistake: x86-64 guests have 46 bits of physical address at the least.
const MAX_MEMORY_MIB: u64 = 16 << 20;
/// Threads of the monitor.
const MONITOR_PIDS: i64 = 512;
/// The kernel's `--cpu-period`, microseconds.
const PERIOD_US: u64 = 100_000;
/// `nobody`, whom Debian and everybody else number so.
const UNPRIVILEGED: u32 = 65534;

pub(super) struct Vm;

impl Rules for Vm {
    fn check(&self, request: &Request, host: &Host) -> Result<()> {
        let refuse = |text: &str| Err(Error::invalid(text));
        if request.network == Network::Host {
            return refuse(
                "--network host: a VM has a kernel and a network of its own and cannot be in the host's; \
                 use another --network or --isolation=process",
            );
        }
        check_namespaces(&request.namespaces)?;
        for device in &request.devices {
            guest_devices::find(device)?;
        }
        // What the machine's size does not keep has to be kept by the host.
        let block_io = Limits { block_io: request.limits.block_io.clone(), ..Limits::default() };
        super::process::check_controllers(&block_io, host)?;
        memory_mib(&request.limits, &host.vm)?;
        vcpus(&request.limits, &host.vm)?;
        crate::doctor::open_error().map_or(Ok(()), Err)
    }

    fn check_lender(&self) -> std::result::Result<(), &'static str> {
        Err("the container is in a VM of its own")
    }

    fn devices(&self, device: &Device) -> Result<Vec<LinuxDevice>> {
        guest_devices::find(device).map(|node| vec![node])
    }

    fn container_limits(&self, limits: &Limits) -> Limits {
        Limits { cpuset_cpus: None, cpuset_mems: None, block_io: BlockIo::default(), ..limits.clone() }
    }

    fn plan(&self, request: &Request, host: &Host, installation: &Installation) -> Result<IsolationPlan> {
        let installation = installation.clone().with_kernel(request.vm.kernel.clone());
        let memory_mib = memory_mib(&request.limits, &host.vm)?;
        Ok(IsolationPlan::Vm(VmPlan {
            vmm: installation.vmm()?,
            kernel: installation.kernel()?,
            initramfs: installation.initramfs()?,
            cmdline: String::new(),
            memory_mib,
            vcpus: vcpus(&request.limits, &host.vm)?,
            boot_deadline_ms: u64::try_from(host.vm.boot_deadline.value.as_millis()).unwrap_or(u64::MAX),
            serial: request.vm.boot_log,
            uid: setting("SANDBOX_VM_UID", UNPRIVILEGED)?,
            gid: setting("SANDBOX_VM_GID", UNPRIVILEGED)?,
            resources: monitor_limits(&request.limits, memory_mib, host)?,
        }))
    }
}

/// Namespaces of the host, or of a container that is in them, cannot be those of another kernel's processes.
fn check_namespaces(namespaces: &Namespaces) -> Result<()> {
    let outside = [
        ("--pid", "processes", namespaces.pid != Pid::Private),
        ("--ipc", "shared memory", matches!(namespaces.ipc, Ipc::Host | Ipc::Container(_))),
        ("--uts", "host name", namespaces.uts == Scope::Host),
        ("--cgroupns", "cgroups", namespaces.cgroup == Scope::Host),
    ];
    match outside.iter().find(|(.., asked)| *asked) {
        None => Ok(()),
        Some((flag, what, _)) => Err(Error::invalid(format!(
            "{flag}: a VM has a kernel and {what} of its own and cannot share those of the host or of another \
             container; leave the option out or use --isolation=process"
        ))),
    }
}

/// A number above 0 from the environment.
fn setting(name: &str, default: u32) -> Result<u32> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => {
            let number = text.parse().ok().filter(|n| *n != 0);
            number.ok_or_else(|| Error::invalid(format!("{name}={text}: not a number above 0")))
        }
        _ => Ok(default),
    }
}

/// RAM of the guest for these limits.
fn memory_mib(limits: &Limits, settings: &VmSettings) -> Result<u64> {
    let mib = match limits.memory.filter(|m| *m > 0) {
        Some(bytes) => {
            let container = (bytes as u64).div_ceil(1 << 20);
            container + GUEST_OVERHEAD_MIB + container / GUEST_OVERHEAD_SHARE
        }
        None => settings.memory_mib.value,
    };
    if mib > MAX_MEMORY_MIB {
        return Err(Error::invalid(format!("-m: a VM has at most {MAX_MEMORY_MIB} MiB of memory")));
    }
    Ok(mib)
}

/// Virtual CPUs for these limits.
fn vcpus(limits: &Limits, settings: &VmSettings) -> Result<u8> {
    let count = if let Some(nano) = limits.nano_cpus.filter(|n| *n > 0) {
        (nano as u64).div_ceil(1_000_000_000)
    } else if let Some(quota) = limits.cpu_quota.filter(|q| *q > 0) {
        (quota as u64).div_ceil(limits.cpu_period.filter(|p| *p > 0).map_or(PERIOD_US, |p| p as u64))
    } else if let Some(list) = &limits.cpuset_cpus {
        limit::cpu_list(list).map_err(Error::Invalid)?.len() as u64
    } else {
        settings.cpus.value.into()
    };
    u8::try_from(count.max(1)).map_err(|_| Error::invalid(format!("a VM has at most {} CPUs", u8::MAX)))
}

/// What binds the monitor on the host, as far as the host has the controllers: the promise itself is
/// kept by the machine's size and the guest's cgroup, this is the second wall.
fn monitor_limits(limits: &Limits, memory_mib: u64, host: &Host) -> Result<Option<LinuxResources>> {
    let Some(hierarchy) = host.cgroup.as_ref() else { return Ok(None) };
    let host_side = Limits {
        nano_cpus: limits.nano_cpus.filter(|_| hierarchy.has("cpu")),
        cpu_period: limits.cpu_period.filter(|_| hierarchy.has("cpu")),
        cpu_quota: limits.cpu_quota.filter(|_| hierarchy.has("cpu")),
        cpu_shares: limits.cpu_shares.filter(|_| hierarchy.has("cpu")),
        cpuset_cpus: limits.cpuset_cpus.clone().filter(|_| hierarchy.has("cpuset")),
        cpuset_mems: limits.cpuset_mems.clone().filter(|_| hierarchy.has("cpuset")),
        ..Limits::default()
    };
    let mut resources = crate::spec::limits(&host_side);
    resources.set_block_io(crate::spec::block_io(&limits.block_io)?);
    if hierarchy.has("memory") {
        let mut memory = LinuxMemory::default();
        memory.set_limit(Some(((memory_mib + MONITOR_HEADROOM_MIB) << 20) as i64));
        resources.set_memory(Some(memory));
    }
    if hierarchy.has("pids") {
        let mut pids = LinuxPids::default();
        pids.set_limit(MONITOR_PIDS);
        resources.set_pids(Some(pids));
    }
    Ok((resources != LinuxResources::default()).then_some(resources))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Hierarchy;
    use rstest::rstest;

    #[rstest]
    #[case(None, 512)]
    #[case(Some(64 << 20), 64 + 48 + 2)]
    #[case(Some((64 << 20) + 1), 65 + 48 + 2)]
    #[case(Some(8 << 30), 8192 + 48 + 256)]
    fn guest_memory(#[case] memory: Option<i64>, #[case] want: u64) {
        assert_eq!(
            memory_mib(&Limits { memory, ..Limits::default() }, &VmSettings::default()).unwrap(),
            want
        );
    }

    #[rstest]
    #[case(None, None, 1)]
    #[case(Some(500_000_000), None, 1)]
    #[case(Some(1_500_000_000), None, 2)]
    #[case(None, Some("0-2"), 3)]
    #[case(Some(1_000_000_000), Some("0-2"), 1)]
    fn guest_cpus(#[case] nano_cpus: Option<i64>, #[case] cpuset: Option<&str>, #[case] want: u8) {
        let limits = Limits { nano_cpus, cpuset_cpus: cpuset.map(str::to_owned), ..Limits::default() };
        assert_eq!(vcpus(&limits, &VmSettings::default()).unwrap(), want);
    }

    #[test]
    fn flags_without_a_meaning() {
        let host = Host { cpus: 2, cgroup: None, vm: VmSettings::default() };
        let request = Request { network: Network::Host, ..Request::default() };
        assert!(Vm.check(&request, &host).unwrap_err().to_string().starts_with("--network host: a VM"));
        let devices = vec![crate::parse::device::parse("/dev/sda").unwrap()];
        let request = Request { devices, ..Request::default() };
        assert!(Vm.check(&request, &host).unwrap_err().to_string().starts_with("--device /dev/sda: "));
        let huge = Limits { memory: Some(i64::MAX), ..Limits::default() };
        assert!(memory_mib(&huge, &host.vm).is_err());
    }

    #[test]
    fn cpusets_bind_the_monitor_and_not_the_guest() {
        let limits = Limits {
            cpuset_cpus: Some("1".to_owned()),
            nano_cpus: Some(500_000_000),
            pids: Some(20),
            ..Limits::default()
        };
        let inside = Vm.container_limits(&limits);
        assert_eq!((inside.cpuset_cpus, inside.pids), (None, Some(20)));
        let host = Host {
            cpus: 2,
            cgroup: Some(Hierarchy::new("/cg".into(), "cpu cpuset memory pids")),
            vm: VmSettings::default(),
        };
        let outside = monitor_limits(&limits, 512, &host).unwrap().unwrap();
        let cpu = outside.cpu().as_ref().unwrap();
        assert_eq!((cpu.cpus().as_deref(), cpu.quota()), (Some("1"), Some(50_000)));
        assert_eq!(outside.memory().as_ref().unwrap().limit(), Some(640 << 20));
        assert_eq!(outside.pids().as_ref().unwrap().limit(), MONITOR_PIDS);
        let bare = Host {
            cpus: 2,
            cgroup: Some(Hierarchy::new("/cg".into(), "hugetlb")),
            vm: VmSettings::default(),
        };
        assert_eq!(monitor_limits(&limits, 512, &bare).unwrap(), None);
    }

    #[test]
    fn block_devices_are_the_hosts() {
        let block_io = BlockIo { weight: Some(300), ..BlockIo::default() };
        let limits = Limits { block_io, ..Limits::default() };
        assert!(!Vm.container_limits(&limits).block_io.is_asked());
        let host =
            Host { cpus: 2, cgroup: Some(Hierarchy::new("/cg".into(), "io")), vm: VmSettings::default() };
        let outside = monitor_limits(&limits, 512, &host).unwrap().unwrap();
        assert_eq!(outside.block_io().as_ref().unwrap().weight(), Some(300));
        let request = Request { limits, ..Request::default() };
        let bare =
            Host { cpus: 2, cgroup: Some(Hierarchy::new("/cg".into(), "cpu")), vm: VmSettings::default() };
        let text = Vm.check(&request, &bare).unwrap_err().to_string();
        assert!(text.contains("the io controller is not in"), "{text}");
    }

    #[rstest]
    #[case(Namespaces { pid: Pid::Host, ..Namespaces::default() }, Some("--pid: a VM has a kernel and processes"))]
    #[case(Namespaces { pid: Pid::Container("x".into()), ..Namespaces::default() }, Some("--pid: a VM"))]
    #[case(Namespaces { ipc: Ipc::Host, ..Namespaces::default() }, Some("--ipc: a VM"))]
    #[case(Namespaces { ipc: Ipc::Container("x".into()), ..Namespaces::default() }, Some("--ipc: a VM"))]
    #[case(Namespaces { uts: Scope::Host, ..Namespaces::default() }, Some("--uts: a VM"))]
    #[case(Namespaces { cgroup: Scope::Host, ..Namespaces::default() }, Some("--cgroupns: a VM"))]
    #[case(Namespaces { ipc: Ipc::Shareable, ..Namespaces::default() }, None)]
    #[case(Namespaces { ipc: Ipc::None, ..Namespaces::default() }, None)]
    fn namespaces_of_others(#[case] namespaces: Namespaces, #[case] refused: Option<&str>) {
        match (check_namespaces(&namespaces), refused) {
            (Ok(()), None) => {}
            (Err(error), Some(want)) => assert!(error.to_string().starts_with(want), "{error}"),
            (got, _) => panic!("{got:?}"),
        }
    }
}

//! Limits of the cgroup.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use crate::error::{Error, Result};
use crate::parse::limit::cpu_list;
use crate::request::Limits;

/// Docker's smallest `-m`, bytes.
const MIN_MEMORY: i64 = 6 << 20;
/// cpu.max period of `--cpus`, microseconds.
const PERIOD_US: u64 = 100_000;
/// Those of `--cpu-period` that the kernel takes, microseconds.
const PERIODS_US: std::ops::RangeInclusive<i64> = 1_000..=1_000_000;
/// And the least `--cpu-quota`.
const MIN_QUOTA_US: i64 = 1_000;

/// Docker's checks, with its texts; `host_cpus` is how many there are.
pub(crate) fn check(limits: &Limits, host_cpus: usize) -> Result<()> {
    let fail = |text: String| Err(Error::Invalid(text));
    let memory = limits.memory.filter(|m| *m != 0);
    if memory.is_some_and(|m| m < MIN_MEMORY) {
        return fail("Minimum memory limit allowed is 6MB".to_owned());
    }
    match (memory, limits.memory_swap.filter(|s| *s != 0)) {
        (None, Some(swap)) if swap > 0 => {
            return fail(
                "You should always set the Memory limit when using Memoryswap limit, see usage".to_owned(),
            );
        }
        (Some(memory), Some(swap)) if swap > 0 && swap < memory => {
            return fail("Minimum memoryswap limit should be larger than memory limit, see usage".to_owned());
        }
        _ => {}
    }
    if let (Some(memory), Some(reservation)) = (memory, limits.memory_reservation)
        && reservation > memory
    {
        return fail(
            "Minimum memory limit can not be less than memory reservation limit, see usage".to_owned(),
        );
    }
    if let Some(nano) = limits.nano_cpus.filter(|n| *n != 0)
        && (nano < 10_000_000 || nano > host_cpus as i64 * 1_000_000_000)
    {
        return fail(format!(
            "range of CPUs is from 0.01 to {host_cpus}.00, as there are only {host_cpus} CPUs available"
        ));
    }
    check_quota(limits)?;
    if let Some(list) = &limits.cpuset_cpus {
        let cpus =
            cpu_list(list).map_err(|_| Error::invalid(format!("Invalid value {list} for cpuset cpus")))?;
        if cpus.last().is_some_and(|last| *last as usize >= host_cpus) {
            return fail(format!(
                "Requested CPUs are not available - requested {list}, available: 0-{}",
                host_cpus.saturating_sub(1)
            ));
        }
    }
    if let Some(list) = &limits.cpuset_mems {
        cpu_list(list).map_err(|_| Error::invalid(format!("Invalid value {list} for cpuset mems")))?;
    }
    super::block_io::check(&limits.block_io)
}

/// `--cpu-period` and `--cpu-quota`, which are `--cpus` in other words.
fn check_quota(limits: &Limits) -> Result<()> {
    let (period, quota) = (limits.cpu_period.unwrap_or(0), limits.cpu_quota.unwrap_or(0));
    if limits.nano_cpus.is_some_and(|nano| nano != 0) {
        for (name, value) in [("Period", period), ("Quota", quota)] {
            if value > 0 {
                return Err(Error::Invalid(format!(
                    "Conflicting options: Nano CPUs and CPU {name} cannot both be set"
                )));
            }
        }
    }
    if period != 0 && !PERIODS_US.contains(&period) {
        return Err(Error::invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if quota > 0 && quota < MIN_QUOTA_US {
        return Err(Error::invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    Ok(())
}

/// The limits as the OCI spec has them. Swap without a number is as much again as memory, as in Docker.
pub(crate) fn build(limits: &Limits) -> LinuxResources {
    let mut resources = LinuxResources::default();
    resources.set_memory(memory(limits));
    resources.set_cpu(cpu(limits));
    if let Some(limit) = limits.pids.filter(|p| *p != 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(if limit < 0 { -1 } else { limit });
        resources.set_pids(Some(pids));
    }
    resources
}

fn memory(limits: &Limits) -> Option<LinuxMemory> {
    let limit = limits.memory.filter(|m| *m != 0);
    let reservation = limits.memory_reservation.filter(|m| *m != 0);
    if limit.is_none() && reservation.is_none() {
        return None;
    }
    let mut memory = LinuxMemory::default();
    memory.set_limit(limit);
    memory.set_reservation(reservation);
    memory.set_swap(
        limit.map(|limit| limits.memory_swap.filter(|s| *s != 0).unwrap_or(limit.saturating_mul(2))),
    );
    Some(memory)
}

fn cpu(limits: &Limits) -> Option<LinuxCpu> {
    let nano = limits.nano_cpus.filter(|n| *n != 0);
    let shares = limits.cpu_shares.filter(|s| *s != 0);
    let period =
        limits.cpu_period.and_then(|period| u64::try_from(period).ok()).filter(|period| *period != 0);
    let quota = limits.cpu_quota.filter(|quota| *quota != 0);
    let sets = limits.cpuset_cpus.is_some() || limits.cpuset_mems.is_some();
    if nano.is_none() && shares.is_none() && period.is_none() && quota.is_none() && !sets {
        return None;
    }
    let mut cpu = LinuxCpu::default();
    cpu.set_period(period);
    cpu.set_quota(quota);
    if let Some(nano) = nano {
        cpu.set_period(Some(PERIOD_US));
        // The kernel refuses quotas under a millisecond.
        cpu.set_quota(Some((nano / 10_000).max(1000)));
    }
    cpu.set_shares(shares.map(|s| s.clamp(2, 262_144)));
    cpu.set_cpus(limits.cpuset_cpus.clone());
    cpu.set_mems(limits.cpuset_mems.clone());
    Some(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn limits(memory: i64, swap: i64, nano: i64) -> Limits {
        Limits { memory: Some(memory), memory_swap: Some(swap), nano_cpus: Some(nano), ..Limits::default() }
    }

    #[rstest]
    #[case(limits(1 << 20, 0, 0), "Minimum memory limit allowed is 6MB")]
    #[case(limits(0, 1 << 30, 0), "You should always set the Memory limit when using Memoryswap limit, see usage")]
    #[case(limits(64 << 20, 32 << 20, 0), "Minimum memoryswap limit should be larger than memory limit, see usage")]
    #[case(
        limits(0, 0, 3_000_000_000),
        "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
    )]
    #[case(limits(0, 0, 1_000_000), "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available")]
    #[case(Limits { cpuset_cpus: Some("0-2".into()), ..Limits::default() }, "Requested CPUs are not available - requested 0-2, available: 0-1")]
    #[case(
        Limits { nano_cpus: Some(1_000_000_000), cpu_period: Some(1000), ..Limits::default() },
        "Conflicting options: Nano CPUs and CPU Period cannot both be set"
    )]
    #[case(
        Limits { nano_cpus: Some(1_000_000_000), cpu_quota: Some(1000), ..Limits::default() },
        "Conflicting options: Nano CPUs and CPU Quota cannot both be set"
    )]
    #[case(
        Limits { cpu_period: Some(999), ..Limits::default() },
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
    )]
    #[case(
        Limits { cpu_quota: Some(999), ..Limits::default() },
        "CPU cfs quota can not be less than 1ms (i.e. 1000)"
    )]
    #[case(Limits { cpuset_cpus: Some("x".into()), ..Limits::default() }, "Invalid value x for cpuset cpus")]
    fn refused(#[case] limits: Limits, #[case] want: &str) {
        assert_eq!(check(&limits, 2).unwrap_err().to_string(), want);
    }

    #[test]
    fn accepted() {
        check(&limits(6 << 20, -1, 500_000_000), 2).unwrap();
        check(&limits(0, 0, 0), 1).unwrap();
        check(&Limits { cpuset_cpus: Some("0,1".into()), ..Limits::default() }, 2).unwrap();
    }

    #[test]
    fn nothing_asked_is_nothing_set() {
        let resources = build(&Limits::default());
        assert_eq!(resources, LinuxResources::default());
    }

    #[test]
    fn values() {
        let resources =
            build(&Limits { cpu_shares: Some(1), pids: Some(-5), ..limits(64 << 20, 0, 500_000_000) });
        let memory = resources.memory().as_ref().unwrap();
        assert_eq!((memory.limit(), memory.swap()), (Some(64 << 20), Some(128 << 20)));
        let cpu = resources.cpu().as_ref().unwrap();
        assert_eq!((cpu.quota(), cpu.period(), cpu.shares()), (Some(50_000), Some(100_000), Some(2)));
        assert_eq!(resources.pids().as_ref().unwrap().limit(), -1);
        let quota = build(&Limits { cpu_period: Some(50_000), cpu_quota: Some(25_000), ..Limits::default() });
        let cpu = quota.cpu().as_ref().unwrap();
        assert_eq!((cpu.quota(), cpu.period()), (Some(25_000), Some(50_000)));
        let unlimited = build(&limits(64 << 20, -1, 0));
        assert_eq!(unlimited.memory().as_ref().unwrap().swap(), Some(-1));
    }
}

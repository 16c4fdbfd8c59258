//! CPU limits: shares become a weight, quota and period one file.

use oci_spec::runtime::LinuxCpu;

use super::resources::{Setting, only_v1};
use crate::error::Error;

/// The kernel's default period, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

pub(super) fn settings(limits: &LinuxCpu) -> Result<Vec<Setting>, Error> {
    if limits.realtime_runtime().unwrap_or(0) != 0 || limits.realtime_period().unwrap_or(0) != 0 {
        return Err(only_v1("cpu.realtimeRuntime and cpu.realtimePeriod"));
    }
    let mut settings = Vec::new();
    if let Some(idle) = limits.idle() {
        settings.push(Setting::new("cpu.idle", "cpu.idle", idle));
    }
    if let Some(shares) = limits.shares().filter(|&shares| shares != 0) {
        settings.push(Setting::new("cpu.shares", "cpu.weight", weight(shares)));
    }
    if limits.quota().is_some_and(|quota| quota != 0) || limits.period().is_some_and(|period| period != 0) {
        let quota =
            limits.quota().filter(|&quota| quota > 0).map_or("max".to_owned(), |quota| quota.to_string());
        let period = limits.period().filter(|&period| period != 0).unwrap_or(DEFAULT_PERIOD);
        settings.push(Setting::new("cpu.quota", "cpu.max", format!("{quota} {period}")));
    }
    if let Some(burst) = limits.burst() {
        settings.push(Setting::new("cpu.burst", "cpu.max.burst", burst));
    }
    let sets = [("cpu.cpus", "cpuset.cpus", limits.cpus()), ("cpu.mems", "cpuset.mems", limits.mems())];
    for (limit, file, value) in sets {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            settings.push(Setting::new(limit, file, value));
        }
    }
    Ok(settings)
}

/// cgroup v1 shares (2 to 262144, default 1024) as v2 weight (1 to 10000, default 100), by the curve of runc and crun that
/// maps 2, 1024 and 262144 to 1, 100 and 10000: 10^((l^2 + 125 l) / 612 - 7/34) with l = log2(shares).
fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            // Below 2^18 here: exact.
            let log = f64::from(shares as u32).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxCpuBuilder;

    use super::*;

    #[test]
    fn shares_keep_the_defaults_in_place() {
        for (shares, expected) in
            [(1, 1), (2, 1), (1024, 100), (2048, 174), (512, 59), (262_144, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn quota_and_period_share_a_file() {
        let files = |limits: &LinuxCpu| -> Vec<(String, String)> {
            settings(limits).expect("settings").into_iter().map(|s| (s.file, s.value)).collect()
        };
        let cpu = LinuxCpuBuilder::default().quota(50_000i64).build().expect("cpu");
        assert_eq!(files(&cpu), [("cpu.max".to_owned(), "50000 100000".to_owned())]);
        let cpu = LinuxCpuBuilder::default().quota(-1i64).period(20_000u64).cpus("0-1").build().expect("cpu");
        assert_eq!(
            files(&cpu),
            [("cpu.max".to_owned(), "max 20000".to_owned()), ("cpuset.cpus".to_owned(), "0-1".to_owned())]
        );
        let cpu = LinuxCpuBuilder::default().realtime_runtime(5i64).build().expect("cpu");
        assert!(settings(&cpu).is_err());
    }
}

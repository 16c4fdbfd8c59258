//! Block I/O limits.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::resources::{Setting, only_v1};
use crate::error::Error;

pub(super) fn settings(limits: &LinuxBlockIo, bfq: bool) -> Result<Vec<Setting>, Error> {
    let leaf = limits.weight_device().iter().flatten().any(|device| device.leaf_weight().unwrap_or(0) != 0);
    if limits.leaf_weight().unwrap_or(0) != 0 || leaf {
        return Err(only_v1("blockIO.leafWeight"));
    }
    let mut settings = Vec::new();
    let (file, convert): (_, fn(u16) -> u64) =
        if bfq { ("io.bfq.weight", u64::from) } else { ("io.weight", weight) };
    if let Some(value) = limits.weight().filter(|&value| value != 0) {
        settings.push(Setting::new("blockIO.weight", file, convert(value)));
    }
    for device in limits.weight_device().iter().flatten() {
        if let Some(value) = device.weight().filter(|&value| value != 0) {
            let line = format!("{}:{} {}", device.major(), device.minor(), convert(value));
            settings.push(Setting::new("blockIO.weightDevice", file, line));
        }
    }
    let throttles: [(&Option<Vec<LinuxThrottleDevice>>, &str); 4] = [
        (limits.throttle_read_bps_device(), "rbps"),
        (limits.throttle_write_bps_device(), "wbps"),
        (limits.throttle_read_iops_device(), "riops"),
        (limits.throttle_write_iops_device(), "wiops"),
    ];
    for (devices, key) in throttles {
        for device in devices.iter().flatten() {
            let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
            let line = format!("{}:{} {key}={rate}", device.major(), device.minor());
            settings.push(Setting::new("blockIO.throttle", "io.max", line));
        }
    }
    Ok(settings)
}

/// v1 weights run from 10 to 1000, v2's from 1 to 10000.
fn weight(value: u16) -> u64 {
    1 + (u64::from(value.clamp(10, 1000)) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxBlockIoBuilder, LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder};

    use super::*;

    #[test]
    fn weights_and_throttles() {
        let throttle =
            LinuxThrottleDeviceBuilder::default().major(8).minor(1).rate(1000u64).build().expect("throttle");
        let device =
            LinuxWeightDeviceBuilder::default().major(8).minor(0).weight(1000u16).build().expect("device");
        let limits = LinuxBlockIoBuilder::default()
            .weight(10u16)
            .weight_device(vec![device])
            .throttle_write_iops_device(vec![throttle])
            .build()
            .expect("limits");
        let lines = |bfq| -> Vec<String> {
            let settings = settings(&limits, bfq).expect("settings");
            settings.into_iter().map(|s| format!("{} {}", s.file, s.value)).collect()
        };
        assert_eq!(lines(false), ["io.weight 1", "io.weight 8:0 10000", "io.max 8:1 wiops=1000"]);
        assert_eq!(lines(true), ["io.bfq.weight 10", "io.bfq.weight 8:0 1000", "io.max 8:1 wiops=1000"]);
    }
}

//! `--blkio-weight` and the throttles of single devices, whose numbers are looked up on the host.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use oci_spec::runtime::{
    LinuxBlockIo, LinuxThrottleDevice, LinuxThrottleDeviceBuilder, LinuxWeightDevice,
    LinuxWeightDeviceBuilder,
};

use crate::error::{Error, Result};
use crate::parse::block_io::{Throttle, Weight};
use crate::parse::environment::describe;
use crate::request::BlockIo;

/// Docker's check, with its text.
pub(super) fn check(limits: &BlockIo) -> Result<()> {
    match limits.weight {
        Some(weight) if weight != 0 && !(10..=1000).contains(&weight) => {
            Err(Error::invalid("Range of blkio weight is from 10 to 1000"))
        }
        _ => Ok(()),
    }
}

/// As the OCI spec has them; None when nothing is asked for.
pub(crate) fn build(limits: &BlockIo) -> Result<Option<LinuxBlockIo>> {
    if !limits.is_asked() {
        return Ok(None);
    }
    let devices = |throttles: &[Throttle]| -> Result<Option<Vec<LinuxThrottleDevice>>> {
        throttles.iter().map(throttle).collect::<Result<Vec<_>>>().map(Some)
    };
    let mut built = LinuxBlockIo::default();
    built.set_weight(limits.weight.filter(|weight| *weight != 0));
    let weights: Vec<_> = limits.weights.iter().map(weight).collect::<Result<_>>()?;
    built.set_weight_device(Some(weights).filter(|weights| !weights.is_empty()));
    built.set_throttle_read_bps_device(devices(&limits.read_bps)?);
    built.set_throttle_write_bps_device(devices(&limits.write_bps)?);
    built.set_throttle_read_iops_device(devices(&limits.read_iops)?);
    built.set_throttle_write_iops_device(devices(&limits.write_iops)?);
    Ok(Some(built))
}

fn throttle(throttle: &Throttle) -> Result<LinuxThrottleDevice> {
    let (major, minor) = number(&throttle.device)?;
    let built = LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(throttle.rate).build();
    built.map_err(|e| Error::invalid(format!("limit the rate of {}: {e}", throttle.device)))
}

fn weight(weight: &Weight) -> Result<LinuxWeightDevice> {
    let (major, minor) = number(&weight.device)?;
    let built = LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(weight.weight).build();
    built.map_err(|e| Error::invalid(format!("set the weight of {}: {e}", weight.device)))
}

fn number(path: &str) -> Result<(i64, i64)> {
    let metadata =
        std::fs::metadata(path).map_err(|e| Error::invalid(format!("stat {path}: {}", describe(&e))))?;
    if !metadata.file_type().is_block_device() {
        return Err(Error::invalid(format!("{path} is not a block device; only those have limits")));
    }
    Ok((i64::from(libc::major(metadata.rdev())), i64::from(libc::minor(metadata.rdev()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_is_nothing_set() {
        assert_eq!(build(&BlockIo::default()).unwrap(), None);
    }

    #[test]
    fn weights() {
        for (weight, good) in [(0, true), (10, true), (1000, true), (9, false), (1001, false)] {
            let limits = BlockIo { weight: Some(weight), ..BlockIo::default() };
            assert_eq!(check(&limits).is_ok(), good, "{weight}");
        }
        let built = build(&BlockIo { weight: Some(300), ..BlockIo::default() }).unwrap().unwrap();
        assert_eq!(built.weight(), Some(300));
    }

    #[test]
    fn only_block_devices_are_throttled() {
        let of = |device: &str| {
            let throttle = Throttle { device: device.to_owned(), rate: 1 };
            build(&BlockIo { write_iops: vec![throttle], ..BlockIo::default() }).unwrap_err().to_string()
        };
        assert_eq!(of("/dev/not-there"), "stat /dev/not-there: no such file or directory");
        assert_eq!(of("/dev/null"), "/dev/null is not a block device; only those have limits");
    }
}

//! `--device-read-bps` and its three like: `DEVICE:RATE`; `--blkio-weight-device`: `DEVICE:WEIGHT`.

use serde::{Deserialize, Serialize};

use super::size;

/// How much one device of the host may do for a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    pub device: String,
    /// Bytes or operations a second; 0: no limit.
    pub rate: u64,
}

/// The share of one device of the host that a container gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    pub device: String,
    /// 10 to 1000; 0: not set.
    pub weight: u16,
}

/// Bytes a second.
pub fn bytes(text: &str) -> Result<Throttle, String> {
    throttle(text, |rate| size::bytes(rate).ok().and_then(|rate| u64::try_from(rate).ok())).map_err(|wrong| {
        wrong.unwrap_or_else(|| {
            format!(
                "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be \
                 a positive integer. Unit is optional and can be kb, mb, or gb"
            )
        })
    })
}

/// Operations a second.
pub fn operations(text: &str) -> Result<Throttle, String> {
    throttle(text, |rate| rate.parse().ok()).map_err(|wrong| {
        wrong.unwrap_or_else(|| {
            format!(
                "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a \
                 positive integer"
            )
        })
    })
}

/// `--blkio-weight-device`
pub fn weight(text: &str) -> Result<Weight, String> {
    let allowed = |weight: &u64| *weight == 0 || (10..=1000).contains(weight);
    let parsed = throttle(text, |weight| weight.parse().ok().filter(allowed));
    let parsed =
        parsed.map_err(|wrong| wrong.unwrap_or_else(|| format!("invalid weight for device: {text}")))?;
    Ok(Weight { device: parsed.device, weight: u16::try_from(parsed.rate).unwrap_or_default() })
}

/// None for a wrong rate, else what else is wrong.
fn throttle(text: &str, rate: impl Fn(&str) -> Option<u64>) -> Result<Throttle, Option<String>> {
    let (device, number) =
        text.split_once(':').filter(|(device, _)| !device.is_empty()).ok_or(format!("bad format: {text}"))?;
    if !device.starts_with("/dev/") {
        return Err(Some(format!("bad format for device path: {text}")));
    }
    Ok(Throttle { device: super::mount::clean_path(device), rate: rate(number).ok_or(None)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/dev/sda:1mb", Ok(1 << 20))]
    #[case("/dev/sda:0", Ok(0))]
    #[case("/dev/sda", Err("bad format: /dev/sda"))]
    #[case(":1", Err("bad format: :1"))]
    #[case("sda:1", Err("bad format for device path: sda:1"))]
    #[case(
        "/dev/sda:x",
        Err(
            "invalid rate for device: /dev/sda:x. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )
    )]
    fn rates(#[case] text: &str, #[case] want: Result<u64, &str>) {
        assert_eq!(bytes(text).map(|throttle| throttle.rate), want.map_err(str::to_owned));
    }

    #[rstest]
    #[case("/dev/sda:300", Ok(300))]
    #[case("/dev/sda:0", Ok(0))]
    #[case("/dev/sda:9", Err("invalid weight for device: /dev/sda:9"))]
    #[case("/dev/sda:1001", Err("invalid weight for device: /dev/sda:1001"))]
    #[case("/dev/sda", Err("bad format: /dev/sda"))]
    fn weights(#[case] text: &str, #[case] want: Result<u16, &str>) {
        assert_eq!(weight(text).map(|weight| weight.weight), want.map_err(str::to_owned));
    }

    #[test]
    fn counts() {
        assert_eq!(operations("/dev/sda:1000").map(|throttle| throttle.rate), Ok(1000));
        assert!(operations("/dev/sda:1mb").unwrap_err().contains("<device-path>:<number>. Number"));
        assert!(operations("/dev/sda:-1").is_err());
    }
}

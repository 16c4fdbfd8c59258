//! Memory limits: the spec counts memory + swap (v1), the v2 files count swap apart.

use oci_spec::runtime::LinuxMemory;

use super::Cgroup;
use super::resources::{Setting, only_v1, or_max};
use crate::error::Error;

pub(super) fn settings(limits: &LinuxMemory) -> Result<Vec<Setting>, Error> {
    if limits.swappiness().is_some() {
        return Err(only_v1("memory.swappiness"));
    }
    if limits.disable_oom_killer() == Some(true) {
        return Err(only_v1("memory.disableOOMKiller"));
    }
    let mut settings = Vec::new();
    // 0 stands for "not given", as in runc.
    let limit = limits.limit().filter(|&limit| limit != 0);
    if let Some(swap) = swap(limits.swap().unwrap_or(0), limit.unwrap_or(0))? {
        settings.push(Setting::new("memory.swap", "memory.swap.max", or_max(swap)));
    }
    if let Some(limit) = limit {
        settings.push(Setting::new("memory.limit", "memory.max", or_max(limit)));
    }
    if let Some(low) = limits.reservation().filter(|&low| low != 0) {
        settings.push(Setting::new("memory.reservation", "memory.low", or_max(low)));
    }
    Ok(settings)
}

/// Swap alone from memory + swap and memory; -1 is unlimited, `None` leaves it alone.
fn swap(both: i64, memory: i64) -> Result<Option<i64>, Error> {
    match (both, memory) {
        // Unlimited memory with nothing said about swap: unlimited too, as in v1.
        (0, -1) | (-1, _) => Ok(Some(-1)),
        (0, _) => Ok(None),
        (_, 0 | -1) => Err(Error::spec("memory.swap is set without memory.limit")),
        (both, memory) if both < memory || both < 0 => Err(Error::spec(format!(
            "memory.swap {both} is memory + swap and cannot be below memory.limit {memory}"
        ))),
        (both, memory) => Ok(Some(both - memory)),
    }
}

impl Cgroup {
    /// `checkBeforeUpdate`: a limit below what is used now would kill.
    pub(super) fn check_usage(&self, limits: &LinuxMemory) -> Result<(), Error> {
        let (Some(true), Some(limit)) = (limits.check_before_update(), limits.limit()) else { return Ok(()) };
        let used = self.read("memory.current").ok().and_then(|text| text.trim().parse::<i64>().ok());
        match used {
            Some(used) if limit > 0 && used > limit => {
                Err(Error::State(format!("memory.limit {limit} is below the {used} bytes in use")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_what_is_above_memory() {
        for (both, memory, expected) in [
            (0, 0, None),
            (0, 64, None),
            (0, -1, Some(-1)),
            (-1, 64, Some(-1)),
            (64, 64, Some(0)),
            (128, 64, Some(64)),
        ] {
            assert_eq!(swap(both, memory).expect("fine"), expected, "{both} {memory}");
        }
        for (both, memory) in [(64, 0), (64, -1), (32, 64), (-5, 64)] {
            assert!(swap(both, memory).is_err(), "{both} {memory}");
        }
    }
}

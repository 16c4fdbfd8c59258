//! Wall-clock time: right after a cold boot, where kvm-clock gave it, and stepped after a restore.

use std::time::Duration;

use rustix::time::{ClockId, Timespec};

/// Below this difference the guest's clock, which is continuous, is the better one: the host's stamp is as old
/// as the request was under way.
const TOLERANCE: Duration = Duration::from_millis(200);

/// Steps CLOCK_REALTIME to `realtime_ns` nanoseconds since 1970; 0 leaves it alone.
///
/// # Errors
/// Of `clock_settime`.
pub(super) fn step(realtime_ns: u64) -> Result<(), String> {
    let now = rustix::time::clock_gettime(ClockId::Realtime);
    match stepped(Duration::from_nanos(realtime_ns), now) {
        Some(time) => rustix::time::clock_settime(ClockId::Realtime, time)
            .map_err(|error| format!("set the clock: {error}")),
        None => Ok(()),
    }
}

fn stepped(wanted: Duration, now: Timespec) -> Option<Timespec> {
    let now = Duration::new(now.tv_sec.max(0) as u64, now.tv_nsec as u32);
    if wanted.is_zero() || wanted.abs_diff(now) <= TOLERANCE {
        return None;
    }
    Some(Timespec { tv_sec: wanted.as_secs() as i64, tv_nsec: wanted.subsec_nanos().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_is_off_is_stepped() {
        let now = Timespec { tv_sec: 1_000, tv_nsec: 500_000_000 };
        assert_eq!(stepped(Duration::ZERO, now), None);
        assert_eq!(stepped(Duration::from_millis(1_000_600), now), None);
        assert_eq!(stepped(Duration::from_millis(1_000_400), now), None);
        let stepped_forward = stepped(Duration::from_millis(2_000_250), now);
        assert_eq!(stepped_forward, Some(Timespec { tv_sec: 2_000, tv_nsec: 250_000_000 }));
        let stepped_back = stepped(Duration::from_millis(500), now);
        assert_eq!(stepped_back, Some(Timespec { tv_sec: 0, tv_nsec: 500_000_000 }));
    }
}

//! The two clocks.

use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC, nanoseconds: the clock of all stamps (ARCHITECTURE.md, Timings).
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// CLOCK_REALTIME, nanoseconds since the epoch; 0 for a clock set before it.
pub fn realtime_ns() -> i64 {
    i64::try_from(nanoseconds(ClockId::Realtime)).unwrap_or(i64::MAX)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let fraction = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(fraction)
}

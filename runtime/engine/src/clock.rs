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

/// Go's zero time, which Docker shows for what has not happened.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 with as many digits of the fraction as there are, as Go's `RFC3339Nano`; of nanoseconds since the epoch.
pub fn rfc3339_nano(at_ns: Option<i64>) -> String {
    let Some(at_ns) = at_ns else { return NEVER.to_owned() };
    let (seconds, fraction) = (at_ns.div_euclid(1_000_000_000), at_ns.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // The proleptic Gregorian calendar in eras of 400 years, from 0000-03-01, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = match fraction {
        0 => String::new(),
        fraction => format!(".{fraction:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_go_writes_them() {
        assert_eq!(rfc3339_nano(None), "0001-01-01T00:00:00Z");
        assert_eq!(rfc3339_nano(Some(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339_nano(Some(1_795_328_074_120_000_000)), "2026-11-22T06:14:34.12Z");
        assert_eq!(rfc3339_nano(Some(951_782_400_000_000_001)), "2000-02-29T00:00:00.000000001Z");
    }
}

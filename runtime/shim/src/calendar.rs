//! Points in time as texts: what logs and events carry, in Go's forms of RFC 3339.

use std::io::Write;

/// Nanoseconds of a second.
pub const SECOND: i64 = 1_000_000_000;
/// Room for the longest of the texts.
const LONGEST: usize = 36;

/// CLOCK_REALTIME in nanoseconds since 1970.
pub fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(SECOND).saturating_add(now.tv_nsec)
}

/// A date and a time of day at some offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub nanosecond: i64,
    /// Seconds east of Greenwich.
    pub offset_s: i64,
}

impl Civil {
    pub fn utc(ns: i64) -> Civil {
        Civil::at(ns, 0)
    }

    /// In the time zone of this machine.
    pub fn local(ns: i64) -> Civil {
        Civil::at(ns, local_offset(ns.div_euclid(SECOND)))
    }

    /// The calendar is the proleptic Gregorian one, in eras of 400 years.
    fn at(ns: i64, offset_s: i64) -> Civil {
        let seconds = ns.div_euclid(SECOND) + offset_s;
        let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
        // Days from 0000-03-01, so that a leap day is the last of its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            nanosecond: ns.rem_euclid(SECOND),
            offset_s,
        }
    }

    /// `2026-01-02T03:04:05.120000000+01:00`: all nine digits.
    pub fn rfc3339_fixed(&self) -> String {
        format!("{}.{:09}{}", self.seconds(), self.nanosecond, self.offset())
    }

    /// `2026-01-02T03:04:05.12Z`: Go's RFC3339Nano, without the zeros at the end.
    pub fn rfc3339_nano(&self) -> String {
        let mut text = Vec::with_capacity(LONGEST);
        // A vector takes everything.
        let _ = write!(text, "{}.{:09}", self.seconds(), self.nanosecond);
        while text.last() == Some(&b'0') {
            text.pop();
        }
        if text.last() == Some(&b'.') {
            text.pop();
        }
        String::from_utf8_lossy(&text).into_owned() + &self.offset()
    }

    /// `2026-01-02T03:04:05`
    pub fn seconds(&self) -> String {
        let Civil { year, month, day, hour, minute, second, .. } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }

    /// `Z`, `+01:00`
    pub fn offset(&self) -> String {
        if self.offset_s == 0 {
            return "Z".to_owned();
        }
        let (sign, minutes) = (if self.offset_s < 0 { '-' } else { '+' }, self.offset_s.abs() / 60);
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

fn local_offset(seconds: i64) -> i64 {
    // SAFETY: all-zero bytes are a valid tm: its pointer is one that nobody follows.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to live values of the right type, and nothing keeps the pointers.
    let known = unsafe { !libc::localtime_r(&raw const seconds, &raw mut tm).is_null() };
    if known { tm.tm_gmtoff } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z")]
    #[case(1_767_323_045_123_456_789, "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z")]
    #[case(1_767_323_045_120_000_000, "2026-01-02T03:04:05.12Z", "2026-01-02T03:04:05.120000000Z")]
    #[case(1_767_323_050_000_000_000, "2026-01-02T03:04:10Z", "2026-01-02T03:04:10.000000000Z")]
    #[case(951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z", "2000-02-29T00:00:00.000000001Z")]
    #[case(-1, "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z")]
    fn as_go_writes_them(#[case] ns: i64, #[case] nano: &str, #[case] fixed: &str) {
        assert_eq!(
            (Civil::utc(ns).rfc3339_nano().as_str(), Civil::utc(ns).rfc3339_fixed().as_str()),
            (nano, fixed)
        );
    }

    #[test]
    fn offsets() {
        let ns = 1_767_323_045_000_000_000;
        assert_eq!(Civil::at(ns, 3600).rfc3339_nano(), "2026-01-02T04:04:05+01:00");
        assert_eq!(Civil::at(ns, -12600).rfc3339_nano(), "2026-01-01T23:34:05-03:30");
        let local = Civil::local(ns);
        assert_eq!(local.minute, Civil::at(ns, local.offset_s).minute);
    }
}

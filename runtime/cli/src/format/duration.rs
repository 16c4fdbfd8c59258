//! Times for people, as in Docker's tables.

/// Docker's rounding of an age in seconds.
pub(crate) fn human(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 14 => format!("{} days", hours / 24),
        _ if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// `2026-11-22 06:14:34 +0000 UTC` of seconds since 1970.
pub(crate) fn utc(seconds: i64) -> String {
    let Date { year, month, day, hour, minute, second } = date(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000 UTC")
}

/// `2026-11-22T06:14:34Z` of seconds since 1970.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let Date { year, month, day, hour, minute, second } = date(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

/// The calendar is the proleptic Gregorian one, in eras of 400 years.
fn date(seconds: i64) -> Date {
    let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // Days from 0000-03-01, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Date { year, month, day, hour, minute, second }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "Less than a second")]
    #[case(1, "1 second")]
    #[case(45, "45 seconds")]
    #[case(60, "About a minute")]
    #[case(119, "About a minute")]
    #[case(180, "3 minutes")]
    #[case(3600, "About an hour")]
    #[case(3 * 3600, "3 hours")]
    #[case(47 * 3600, "47 hours")]
    #[case(48 * 3600, "2 days")]
    #[case(13 * 86400, "13 days")]
    #[case(14 * 86400, "2 weeks")]
    #[case(59 * 86400, "8 weeks")]
    #[case(60 * 86400, "2 months")]
    #[case(729 * 86400, "24 months")]
    #[case(730 * 86400, "2 years")]
    fn ages(#[case] seconds: u64, #[case] want: &str) {
        assert_eq!(human(seconds), want);
    }

    #[rstest]
    #[case(0, "1970-01-01 00:00:00 +0000 UTC")]
    #[case(951_782_400, "2000-02-29 00:00:00 +0000 UTC")]
    #[case(1_795_328_074, "2026-11-22 06:14:34 +0000 UTC")]
    #[case(-1, "1969-12-31 23:59:59 +0000 UTC")]
    fn dates(#[case] seconds: i64, #[case] want: &str) {
        assert_eq!(utc(seconds), want);
        assert_eq!(rfc3339(seconds), want.replacen(' ', "T", 1).replace(" +0000 UTC", "Z"));
    }
}

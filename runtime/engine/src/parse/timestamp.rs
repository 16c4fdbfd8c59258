//! Points in time as Docker's filters take them: seconds since 1970, dates of RFC 3339 and shorter, and Go's durations,
//! which count back from now. A date without an offset is in UTC.

const SECOND: i64 = 1_000_000_000;
/// Digits of a fraction that count.
const DIGITS: u32 = 9;

/// Seconds since 1970.
pub fn parse(text: &str, now_s: i64) -> Result<i64, String> {
    Ok(parse_ns(text, now_s.saturating_mul(SECOND))?.div_euclid(SECOND))
}

/// Nanoseconds since 1970.
pub fn parse_ns(text: &str, now_ns: i64) -> Result<i64, String> {
    seconds(text)
        .or_else(|| date(text))
        .or_else(|| Some(now_ns.saturating_sub(duration(text)?)))
        .ok_or_else(|| format!("failed to parse value as time or duration: {text:?}"))
}

/// `1795328074`, `1795328074.25`
fn seconds(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let whole: i64 = digits(whole.strip_prefix('-').unwrap_or(whole)).then(|| whole.parse().ok())??;
    let part = fraction(part)?;
    Some(whole.saturating_mul(SECOND).saturating_add(if text.starts_with('-') { -part } else { part }))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Nanoseconds of the digits behind a point.
fn fraction(text: &str) -> Option<i64> {
    let known: i64 = digits(text).then(|| text.get(..text.len().min(DIGITS as usize))?.parse().ok())??;
    Some(known * 10i64.pow(DIGITS.saturating_sub(text.len() as u32)))
}

/// `2026-11-22T06:14:34.5+01:00` and its beginnings down to the day.
pub fn date(text: &str) -> Option<i64> {
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) => (day, time),
        None => (text, ""),
    };
    let numbers = |text: &str, separator: char, count: std::ops::RangeInclusive<usize>| -> Option<Vec<i64>> {
        let parts: Vec<&str> = text.split(separator).collect();
        let plain = |part: &&str| part.bytes().all(|b| b.is_ascii_digit()) && (2..=4).contains(&part.len());
        (count.contains(&parts.len()) && parts.iter().all(plain))
            .then(|| parts.iter().map(|part| part.parse().ok()).collect())?
    };
    let [year, month, day] = numbers(day, '-', 3..=3)?[..] else { return None };
    if !(1..=12).contains(&month) || !(1..=month_length(year, month)).contains(&day) {
        return None;
    }
    let (clock, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (time.get(..at)?, offset(time.get(at..)?)?),
        None => (time, 0),
    };
    let (clock, ns) = match clock.split_once('.') {
        Some((clock, part)) => (clock, fraction(part)?),
        None => (clock, 0),
    };
    let (hour, minute, second) = match numbers(clock, ':', 1..=3).as_deref() {
        Some([hour]) => (*hour, 0, 0),
        Some([hour, minute]) => (*hour, *minute, 0),
        Some([hour, minute, second]) => (*hour, *minute, *second),
        _ if clock.is_empty() && !text.ends_with(['T', ' ']) => (0, 0, 0),
        _ => return None,
    };
    let valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    let seconds = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    valid.then(|| seconds.saturating_mul(SECOND).saturating_add(ns))
}

fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let number = |text: &str| (digits(text) && text.len() == 2).then(|| text.parse::<i64>().ok())?;
    let seconds = number(hours)? * 3600 + number(minutes)? * 60;
    Some(if text.starts_with('-') { -seconds } else { seconds })
}

fn month_length(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // A year that begins in March has its leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Go's duration in nanoseconds: `1h30m`, `1.5h`, `300ms`.
fn duration(text: &str) -> Option<i64> {
    let (mut rest, mut total) = (text, 0.0f64);
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest.get(..number)?.parse().ok()?;
        rest = rest.get(number..)?;
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let ns = match rest.get(..unit)? {
            "h" => 3600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        total += value * ns;
        rest = rest.get(unit..)?;
    }
    (!text.is_empty() && total < 9e18).then_some(total.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: i64 = 1_795_328_074;

    #[rstest]
    #[case("0", 0)]
    #[case("1795328074.123456789", 1_795_328_074)]
    #[case("2026-11-22T06:14:34Z", 1_795_328_074)]
    #[case("2026-11-22T07:14:34.25+01:00", 1_795_328_074)]
    #[case("2026-11-22T01:14:34-05:00", 1_795_328_074)]
    #[case("2026-11-22T06:14:34", 1_795_328_074)]
    #[case("2026-11-22T06:14", 1_795_328_040)]
    #[case("2026-11-22", 1_795_305_600)]
    #[case("2000-02-29", 951_782_400)]
    #[case("1969-12-31", -86400)]
    #[case("10m", NOW - 600)]
    #[case("1h30m", NOW - 5400)]
    #[case("1.5h", NOW - 5400)]
    #[case("1500ms", NOW - 2)]
    fn good(#[case] text: &str, #[case] want: i64) {
        assert_eq!(parse(text, NOW), Ok(want));
    }

    #[rstest]
    #[case("1795328074.123456789", 1_795_328_074_123_456_789)]
    #[case("1795328074.25", 1_795_328_074_250_000_000)]
    #[case("-0.5", -500_000_000)]
    #[case("2026-11-22T06:14:34.000000001Z", 1_795_328_074_000_000_001)]
    #[case("2026-11-22T07:14:34.1234567891+01:00", 1_795_328_074_123_456_789)]
    #[case("1500ms", NOW * SECOND - 1_500_000_000)]
    #[case("10ns", NOW * SECOND - 10)]
    fn exact(#[case] text: &str, #[case] want: i64) {
        assert_eq!(parse_ns(text, NOW * SECOND), Ok(want));
    }

    #[rstest]
    #[case("")]
    #[case("yesterday")]
    #[case("2026-13-01")]
    #[case("2026-02-29")]
    #[case("2026-11-22T")]
    #[case("2026-11-22T25:00")]
    #[case("10")]
    #[case("10x")]
    #[case("h")]
    #[case("1e3h")]
    #[case("2026-11-22T06:14:34.Z")]
    #[case("2026-11-22T06:14:34+9999999999999999:00")]
    fn bad(#[case] text: &str) {
        // A bare number is a time of its own.
        assert_eq!(parse(text, NOW).is_err(), text != "10", "{text}");
    }
}

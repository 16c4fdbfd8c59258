//! Go's durations: `1h15m30.5s`, `200ms`.

/// Nanoseconds.
///
/// # Errors
/// Go's text.
pub fn parse(text: &str) -> Result<u64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(0);
    }
    let (mut rest, mut total) = (text.strip_prefix('+').unwrap_or(text), 0_u64);
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("time: missing unit in duration {text:?}"))?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let scale: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        total = amount(number, scale).and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
        rest = next;
    }
    Ok(total)
}

/// `1.5` times `scale`, without the rounding of floating point.
fn amount(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.bytes() {
        unit /= 10;
        total = total.checked_add(u64::from(digit - b'0').checked_mul(unit)?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", 0)]
    #[case("30s", 30_000_000_000)]
    #[case("1m30s", 90_000_000_000)]
    #[case("1.5h", 5_400_000_000_000)]
    #[case(".5s", 500_000_000)]
    #[case("200ms", 200_000_000)]
    #[case("3us7ns", 3_007)]
    fn good(#[case] text: &str, #[case] want: u64) {
        assert_eq!(parse(text), Ok(want));
    }

    #[rstest]
    #[case("", "invalid duration")]
    #[case("5", "missing unit")]
    #[case("5x", "unknown unit \"x\"")]
    #[case("-5s", "unknown unit")]
    #[case("1..5s", "invalid duration")]
    #[case("99999999999h", "invalid duration")]
    fn bad(#[case] text: &str, #[case] want: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}

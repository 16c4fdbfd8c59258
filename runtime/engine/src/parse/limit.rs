//! `--cpus`, `--cpuset-cpus`.

/// Billionths of a CPU in `--cpus TEXT`.
pub fn nano_cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) || whole.len() > 6 {
        return Err(wrong());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let nanos: i64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
    Ok(whole * 1_000_000_000 + nanos)
}

/// The largest CPU number a list may name; the kernel's own bound is NR_CPUS, at most 8192.
const MAX_CPU: u32 = 8191;

/// The numbers in a list like `0-2,7` (the kernel's list format), ascending and without repeats.
pub fn cpu_list(text: &str) -> Result<Vec<u32>, String> {
    let wrong = || format!("invalid value {text} for cpuset cpus");
    let number = |s: &str| s.trim().parse::<u32>().ok().filter(|n| *n <= MAX_CPU).ok_or_else(wrong);
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1", 1_000_000_000)]
    #[case("0.5", 500_000_000)]
    #[case(".5", 500_000_000)]
    #[case("1.50", 1_500_000_000)]
    #[case("2.", 2_000_000_000)]
    #[case("0.000000001", 1)]
    fn cpus(#[case] text: &str, #[case] want: i64) {
        assert_eq!(nano_cpus(text), Ok(want));
    }

    #[rstest]
    #[case("", "failed to parse  as a rational number")]
    #[case(".", "failed to parse . as a rational number")]
    #[case("x", "failed to parse x as a rational number")]
    #[case("-1", "failed to parse -1 as a rational number")]
    #[case("12345678", "failed to parse 12345678 as a rational number")]
    #[case("0.0000000001", "value is too precise")]
    fn bad_cpus(#[case] text: &str, #[case] want: &str) {
        assert_eq!(nano_cpus(text), Err(want.to_owned()));
    }

    #[rstest]
    #[case("0", &[0])]
    #[case("0-2", &[0, 1, 2])]
    #[case("3,0-1,1", &[0, 1, 3])]
    fn lists(#[case] text: &str, #[case] want: &[u32]) {
        assert_eq!(cpu_list(text).unwrap(), want);
    }

    #[rstest]
    #[case("")]
    #[case("2-1")]
    #[case("a")]
    #[case("0-99999999")]
    #[case("0,,1")]
    fn bad_lists(#[case] text: &str) {
        assert!(cpu_list(text).is_err());
    }
}

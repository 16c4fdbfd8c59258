//! Sizes as people write them: `64m`, `1.5g`, `512`; the units are binary.

/// Bytes of `text`: a decimal number, then optionally a unit `b`, `k`, `m`, `g`, `t` or `p` in either
/// case, which may be followed by `b` or `ib`.
pub fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("invalid size: '{text}'");
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(wrong()),
    };
    scaled(number, 1i128 << shift).ok_or_else(wrong)
}

/// `--memory-swap`: a size, or -1 for no limit.
pub fn swap_bytes(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { bytes(text) }
}

/// `number * unit` in exact arithmetic, rounded down; None when it is no number or too large.
fn scaled(number: &str, unit: i128) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || fraction.len() > 15 || whole.len() > 19 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let value = digits.checked_mul(unit)? / 10i128.pow(fraction.len() as u32);
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", 0)]
    #[case("32", 32)]
    #[case("32b", 32)]
    #[case("32B", 32)]
    #[case("32k", 32 << 10)]
    #[case("32K", 32 << 10)]
    #[case("32kb", 32 << 10)]
    #[case("32KiB", 32 << 10)]
    #[case("64m", 64 << 20)]
    #[case("1.5g", 3 << 29)]
    #[case("32 mb", 32 << 20)]
    #[case("1t", 1 << 40)]
    #[case("1p", 1 << 50)]
    #[case("0.1k", 102)]
    fn good(#[case] text: &str, #[case] want: i64) {
        assert_eq!(bytes(text), Ok(want));
    }

    #[rstest]
    #[case("")]
    #[case("m")]
    #[case("-1m")]
    #[case("1x")]
    #[case("1..5m")]
    #[case("1mm")]
    #[case("hello")]
    #[case("9999999p")]
    #[case("99999999999999999999")]
    #[case("1  m")]
    fn bad(#[case] text: &str) {
        assert_eq!(bytes(text), Err(format!("invalid size: '{text}'")));
    }

    #[test]
    fn unlimited_swap() {
        assert_eq!(swap_bytes("-1"), Ok(-1));
        assert!(swap_bytes("-2").is_err());
    }
}

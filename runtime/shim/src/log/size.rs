//! Sizes of log options in the grammar of Docker's go-units, which is not that of `--memory`: `10m` of a log is ten million
//! bytes, only of a buffer ten times 2^20, and errors have words of their own.

/// What `k` stands for, and the other units are powers of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kilo {
    Decimal = 1000,
    Binary = 1024,
}

/// Bytes of `text`.
pub(super) fn bytes(text: &str, kilo: Kilo) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(invalid)?;
    let (number, suffix) = text.split_at(last + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let plain = number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    let value: f64 = number
        .parse()
        .ok()
        .filter(|_| plain)
        .ok_or_else(|| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if value < 0.0 {
        return Err(invalid());
    }
    let suffix = suffix.to_lowercase();
    let power = match suffix.strip_suffix("ib").filter(|unit| !unit.is_empty()).or(suffix.strip_suffix('b')) {
        _ if suffix == "ib" => None,
        unit => match unit.unwrap_or(&suffix) {
            "" => Some(0),
            "k" => Some(1),
            "m" => Some(2),
            "g" => Some(3),
            "t" => Some(4),
            "p" => Some(5),
            _ => None,
        },
    };
    let power = power.ok_or_else(|| format!("invalid suffix: '{suffix}'"))?;
    // A number that is too large becomes the largest.
    Ok((value * f64::from(kilo as u16).powi(power)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("10", 10, 10)]
    #[case("10b", 10, 10)]
    #[case("10k", 10_000, 10_240)]
    #[case("10K", 10_000, 10_240)]
    #[case("1.5m", 1_500_000, 1_572_864)]
    #[case("20 mb", 20_000_000, 20_971_520)]
    #[case("1GiB", 1_000_000_000, 1 << 30)]
    #[case("0", 0, 0)]
    #[case("1p", 1_000_000_000_000_000, 1 << 50)]
    #[case("99999999p", u64::MAX, u64::MAX)]
    fn good(#[case] text: &str, #[case] decimal: u64, #[case] binary: u64) {
        assert_eq!((bytes(text, Kilo::Decimal), bytes(text, Kilo::Binary)), (Ok(decimal), Ok(binary)));
    }

    #[rstest]
    #[case("", "invalid size: ''")]
    #[case("m", "invalid size: 'm'")]
    #[case("-1m", "invalid size: '-1m'")]
    #[case("1x", "invalid suffix: 'x'")]
    #[case("1bb", "invalid suffix: 'bb'")]
    #[case("1ib", "invalid suffix: 'ib'")]
    #[case("1mbx", "invalid suffix: 'mbx'")]
    #[case("1..5m", "strconv.ParseFloat: parsing \"1..5\": invalid syntax")]
    #[case(" m", "strconv.ParseFloat: parsing \"\": invalid syntax")]
    fn bad(#[case] text: &str, #[case] want: &str) {
        assert_eq!(bytes(text, Kilo::Decimal).unwrap_err(), want);
    }
}

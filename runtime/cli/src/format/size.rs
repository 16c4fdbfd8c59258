//! Sizes for people: decimal units without a space, as in Docker's tables.

const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];

/// `digits` significant digits: 8310000 with 3 is `8.31MB`. Trailing zeros go, as with Go's `%.3g`.
#[expect(clippy::cast_precision_loss, reason = "at most four digits are shown")]
pub(crate) fn decimal(bytes: u64, digits: usize) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let before = if value < 10.0 {
        1
    } else if value < 100.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.*}", digits.saturating_sub(before));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "0B")]
    #[case(999, "999B")]
    #[case(1000, "1kB")]
    #[case(4_260_000, "4.26MB")]
    #[case(12_300_000, "12.3MB")]
    #[case(123_400_000, "123MB")]
    #[case(1_500_000_000, "1.5GB")]
    fn sizes(#[case] bytes: u64, #[case] want: &str) {
        assert_eq!(decimal(bytes, 3), want);
    }
}

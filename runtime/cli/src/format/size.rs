//! Sizes for people: decimal units without a space, as in Docker's tables.

const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
const BINARY_UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
/// Significant digits of binary sizes.
const BINARY_DIGITS: usize = 4;

/// `digits` significant digits: 8310000 with 3 is `8.31MB`. Trailing zeros go, as with Go's `%.3g`.
#[expect(clippy::cast_precision_loss, reason = "at most four digits are shown")]
pub(crate) fn decimal(bytes: u64, digits: usize) -> String {
    scaled(bytes as f64, 1000.0, &UNITS, digits)
}

/// Memory, in units of 1024: `2.352MiB`.
#[expect(clippy::cast_precision_loss, reason = "at most four digits are shown")]
pub(crate) fn binary(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &BINARY_UNITS, BINARY_DIGITS)
}

fn scaled(mut value: f64, base: f64, units: &[&str; 6], digits: usize) -> String {
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let before = if value < 10.0 {
        1
    } else if value < 100.0 {
        2
    } else if value < 1000.0 {
        3
    } else {
        4
    };
    let text = format!("{value:.*}", digits.saturating_sub(before));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "0B")]
    #[case(1023, "1023B")]
    #[case(2_466_250, "2.352MiB")]
    #[case(1_030_225_100, "982.5MiB")]
    #[case(8 << 30, "8GiB")]
    fn memory(#[case] bytes: u64, #[case] want: &str) {
        assert_eq!(binary(bytes), want);
    }

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

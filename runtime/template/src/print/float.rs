//! Floating point numbers in Go's forms.

/// Digits and decimal exponent of a finite number: 1.25 is `("125", 0)`. `precision` counts digits behind the first.
fn digits(value: f64, precision: Option<usize>) -> (String, i32) {
    let text = match precision {
        Some(precision) => format!("{value:.precision$e}"),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

fn special(value: f64) -> Option<String> {
    match value {
        value if value.is_nan() => Some("NaN".to_owned()),
        value if value.is_infinite() => Some(if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()),
        _ => None,
    }
}

/// `%v`: the shortest digits that mean the same number, an exponent from 1e21.
pub(super) fn shortest(value: f64) -> String {
    general(value, None, 21)
}

/// `%g`; with a precision it counts digits.
pub(super) fn general(value: f64, precision: Option<usize>, large: i32) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let (sign, value) = if value.is_sign_negative() { ("-", -value) } else { ("", value) };
    let (mut digits, exponent) = digits(value, precision.map(|p| p.max(1) - 1));
    let large = match precision {
        Some(precision) => i32::try_from(precision.max(1)).unwrap_or(i32::MAX),
        None => large,
    };
    let significant = digits.trim_end_matches('0').len().max(1);
    digits.truncate(significant);
    let text = if exponent < -4 || exponent >= large {
        let rest = digits.get(1..).unwrap_or_default();
        let point = if rest.is_empty() { "" } else { "." };
        format!("{}{point}{rest}{}", digits.get(..1).unwrap_or("0"), exponent_text(exponent, 'e'))
    } else if exponent < 0 {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        format!("0.{}{digits}", "0".repeat(zeros))
    } else {
        let whole = usize::try_from(exponent).unwrap_or(0) + 1;
        if digits.len() <= whole {
            format!("{digits}{}", "0".repeat(whole - digits.len()))
        } else {
            format!("{}.{}", &digits[..whole], &digits[whole..])
        }
    };
    format!("{sign}{text}")
}

/// `%e`
pub(super) fn scientific(value: f64, precision: usize, letter: char) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}{}", exponent_text(exponent.parse().unwrap_or(0), letter))
}

/// `%f`
pub(super) fn fixed(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| format!("{value:.precision$}"))
}

/// Go writes two digits at least.
fn exponent_text(exponent: i32, letter: char) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{letter}{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(1.5, "1.5")]
    #[case(0.0, "0")]
    #[case(-0.25, "-0.25")]
    #[case(100.0, "100")]
    #[case(1e20, "100000000000000000000")]
    #[case(1e21, "1e+21")]
    #[case(1.5e-5, "1.5e-05")]
    #[case(0.0001, "0.0001")]
    #[case(123_456.789, "123456.789")]
    fn as_go_prints_them(#[case] value: f64, #[case] want: &str) {
        assert_eq!(shortest(value), want);
    }

    #[test]
    fn with_precision() {
        assert_eq!(general(1234.5678, Some(3), 21), "1.23e+03");
        assert_eq!(general(0.5, Some(3), 21), "0.5");
        assert_eq!(scientific(1234.5, 2, 'e'), "1.23e+03");
        assert_eq!(fixed(2.0 / 3.0, 3), "0.667");
    }
}

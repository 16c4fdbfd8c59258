//! Numbers, characters and texts as Go writes them.

/// A number of a template.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    Unsigned(u64),
    Float(f64),
}

/// A Go number; `None` for what is none.
pub(crate) fn number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let plain = digits.replace('_', "");
    let lower = plain.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', rest @ ..] if !rest.is_empty() && rest.iter().all(u8::is_ascii_digit) => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    if let Ok(value) = u64::from_str_radix(body, radix) {
        let signed = if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() };
        return signed.map(Number::Integer).or((!negative).then_some(Number::Unsigned(value)));
    }
    if radix != 10 || !body.bytes().all(|b| b.is_ascii_digit() || b".e+-".contains(&b)) {
        return None;
    }
    // Rust reads what Go does here, for only digits, points and exponents are left.
    let value: f64 = body.parse().ok().filter(|v: &f64| v.is_finite())?;
    Some(Number::Float(if negative { -value } else { value }))
}

/// `'x'`, which is a number in Go.
pub(crate) fn character(text: &str) -> Option<i64> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let value = unescape(inner, '\'')?;
    let mut chars = value.chars();
    let one = chars.next()?;
    chars.next().is_none().then_some(i64::from(one as u32))
}

/// `"…"` without its quotes.
pub(crate) fn unquote(text: &str) -> Option<String> {
    unescape(text.strip_prefix('"')?.strip_suffix('"')?, '"')
}

fn unescape(text: &str, quote: char) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == quote {
            return None;
        }
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            push(&mut bytes, c);
            continue;
        }
        let escape = rest.chars().next()?;
        rest = &rest[escape.len_utf8()..];
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0'..='7' => {
                let value = u32::from_str_radix(&format!("{escape}{}", rest.get(..2)?), 8).ok()?;
                bytes.push(u8::try_from(value).ok()?);
                rest = &rest[2..];
                continue;
            }
            other => {
                push(&mut bytes, simple_escape(other).or((other == quote).then_some(quote))?);
                continue;
            }
        };
        let hexadecimal = rest.get(..digits).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let value = u32::from_str_radix(hexadecimal, 16).ok()?;
        rest = &rest[digits..];
        if escape == 'x' {
            bytes.push(value as u8);
        } else {
            push(&mut bytes, char::from_u32(value)?);
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn simple_escape(c: char) -> Option<char> {
    Some(match c {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        _ => return None,
    })
}

/// Go's `strconv.Quote`, or with `ascii` its `QuoteToASCII`.
pub(crate) fn quote_as(text: &str, ascii: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        push_quoted(&mut quoted, c, '"', ascii);
    }
    quoted.push('"');
    quoted
}

/// Go's `strconv.Quote`.
pub fn quote(text: &str) -> String {
    quote_as(text, false)
}

/// Go's `strconv.QuoteRune`.
pub(crate) fn quote_character(c: char, ascii: bool) -> String {
    let mut quoted = String::from("'");
    push_quoted(&mut quoted, c, '\'', ascii);
    quoted + "'"
}

fn push_quoted(out: &mut String, c: char, quote: char, ascii: bool) {
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\\' => out.push_str("\\\\"),
        c if c == quote => out.extend(['\\', c]),
        c if c.is_ascii_graphic() || c == ' ' => out.push(c),
        c if c.is_ascii() => out.push_str(&hexadecimal('x', 2, c)),
        c if !ascii && is_printable(c) => out.push(c),
        c if (c as u32) < 0x1_0000 => out.push_str(&hexadecimal('u', 4, c)),
        c => out.push_str(&hexadecimal('U', 8, c)),
    }
}

fn hexadecimal(letter: char, digits: usize, c: char) -> String {
    format!("\\{letter}{:0digits$x}", c as u32)
}

/// Near enough to Go's `unicode.IsPrint`: what Rust would not escape and is no space but the ASCII one.
fn is_printable(c: char) -> bool {
    !c.is_whitespace() && c.escape_debug().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", Some(Number::Integer(0)))]
    #[case("-12", Some(Number::Integer(-12)))]
    #[case("+7", Some(Number::Integer(7)))]
    #[case("1_000", Some(Number::Integer(1000)))]
    #[case("0x1F", Some(Number::Integer(31)))]
    #[case("0b101", Some(Number::Integer(5)))]
    #[case("0o17", Some(Number::Integer(15)))]
    #[case("017", Some(Number::Integer(15)))]
    #[case("1.5", Some(Number::Float(1.5)))]
    #[case("1e3", Some(Number::Float(1000.0)))]
    #[case(".5", Some(Number::Float(0.5)))]
    #[case("18446744073709551615", Some(Number::Unsigned(u64::MAX)))]
    #[case("-9223372036854775808", Some(Number::Integer(i64::MIN)))]
    #[case("1x", None)]
    #[case("--1", None)]
    #[case("_1", None)]
    #[case("1__0", None)]
    #[case("1i", None)]
    #[case("-", None)]
    #[case("inf", None)]
    fn numbers(#[case] text: &str, #[case] want: Option<Number>) {
        assert_eq!(number(text), want);
    }

    #[rstest]
    #[case(r#""a\tb""#, Some("a\tb"))]
    #[case(r#""\u00e9\x41\101\U0001F600""#, Some("éAA😀"))]
    #[case(r#""\"""#, Some("\""))]
    #[case(r#""\q""#, None)]
    #[case(r#""\u12""#, None)]
    #[case(r#""\u{1}""#, None)]
    #[case(r#""\9""#, None)]
    fn texts(#[case] text: &str, #[case] want: Option<&str>) {
        assert_eq!(unquote(text).as_deref(), want);
    }

    #[test]
    fn characters_and_quotes() {
        assert_eq!(character("'a'"), Some(97));
        assert_eq!(character(r"'\''"), Some(39));
        assert_eq!(character("'ab'"), None);
        assert_eq!(character("''"), None);
        assert_eq!(quote("a\"b\n\u{1}é\u{a0}"), r#""a\"b\n\x01é\u00a0""#);
        assert_eq!(quote_as("é", true), r#""\u00e9""#);
    }
}

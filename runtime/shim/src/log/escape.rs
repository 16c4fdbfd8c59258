//! Bytes as a JSON string, as Docker's log writer escapes them: safe inside HTML and JavaScript, bytes that are not UTF-8
//! replaced one by one.

const HEX: &[u8; 16] = b"0123456789abcdef";
/// Bytes that stand for themselves.
static PLAIN: [bool; 256] = plain();

const fn plain() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        table[byte] = !matches!(byte as u8, b'"' | b'\\' | b'<' | b'>' | b'&');
        byte += 1;
    }
    table
}

/// Appends `text` without the quotes around it.
pub(super) fn escape(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    loop {
        let run = rest.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(rest.len());
        let (clean, other) = rest.split_at(run);
        out.extend_from_slice(clean);
        let Some(&byte) = other.first() else { return };
        let mut length = 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x80 => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => match sequence(other) {
                None => out.extend_from_slice(b"\\ufffd"),
                Some(b"\xe2\x80\xa8") => (out.extend_from_slice(b"\\u2028"), length = 3).1,
                Some(b"\xe2\x80\xa9") => (out.extend_from_slice(b"\\u2029"), length = 3).1,
                Some(valid) => {
                    out.extend_from_slice(valid);
                    length = valid.len();
                }
            },
        }
        rest = other.get(length..).unwrap_or_default();
    }
}

/// The character of more than one byte at the start, if there is one.
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    let length = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    bytes.get(..length).filter(|sequence| std::str::from_utf8(sequence).is_ok())
}

/// Appends attributes as Go marshals a map of texts, which has short forms of more control characters than
/// Docker's log writer.
pub(super) fn object(out: &mut Vec<u8>, members: &std::collections::BTreeMap<String, String>) {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(b'"');
        for piece in text.split_inclusive(['\t', '\u{8}', '\u{c}']) {
            let (clean, last) = match piece.char_indices().next_back() {
                Some((at, '\t')) => (&piece[..at], "\\t"),
                Some((at, '\u{8}')) => (&piece[..at], "\\b"),
                Some((at, '\u{c}')) => (&piece[..at], "\\f"),
                _ => (piece, ""),
            };
            escape(out, clean.as_bytes());
            out.extend_from_slice(last.as_bytes());
        }
        out.push(b'"');
    };
    out.push(b'{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text(out, key);
        out.push(b':');
        text(out, value);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_that_dockers_writer_gives() {
        // Printed by a Go program around the escaping of Docker's daemon/logger/jsonfilelog/jsonlog/jsonlogbytes.go.
        for (text, want) in GO {
            assert_eq!(escaped(text), *want, "{text:?}");
            let parsed: String = serde_json::from_str(&format!("\"{want}\"")).unwrap();
            assert_eq!(parsed.chars().count(), go_length(text), "{text:?}");
        }
    }

    /// Characters as Go counts them: each wrong byte is one.
    fn go_length(mut text: &[u8]) -> usize {
        let mut count = 0;
        while let Some(first) = text.first() {
            let step = if *first < 0x80 { 1 } else { sequence(text).map_or(1, <[u8]>::len) };
            (count, text) = (count + 1, &text[step..]);
        }
        count
    }

    include!("escape_table.rs");

    #[test]
    fn attributes() {
        let mut out = Vec::new();
        object(
            &mut out,
            &[("a<b".to_owned(), "x\ty\u{8}\u{c}\u{1}".to_owned()), ("é".to_owned(), String::new())].into(),
        );
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a\u003cb":"x\ty\b\f\u0001","é":""}"#);
    }
}

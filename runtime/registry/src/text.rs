//! Outside text made fit for a terminal.

/// `text` on one line, without anything that a terminal or a reader takes for more than it is, and not longer than
/// `limit` characters: control characters (C0, C1, DEL) and those that reorder or hide text become spaces.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut printable = String::with_capacity(text.len().min(limit));
    let plain = text.chars().map(|c| if is_plain(c) { c } else { ' ' });
    let mut characters = plain.skip_while(|c| c.is_whitespace());
    printable.extend(characters.by_ref().take(limit));
    printable.truncate(printable.trim_end().len());
    if characters.any(|c| !c.is_whitespace()) {
        printable.push('…');
    }
    printable
}

fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            // Soft hyphen, Arabic letter mark, zero width characters and directional marks.
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
            // Line and paragraph separators, directional embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, directional isolates, deprecated format characters.
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags.
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_away_what_controls_a_terminal() {
        for (text, expected) in [
            ("plain", "plain"),
            ("\x1b]0;title\x07x", "]0;title x"),
            ("a\r\nb", "a  b"),
            ("a\u{9b}31mb", "a 31mb"),
            ("a\u{202e}b\u{2066}c", "a b c"),
            ("ünïcode …", "ünïcode …"),
            ("  spaces ", "spaces"),
        ] {
            assert_eq!(printable(text, 100), expected);
        }
    }

    #[test]
    fn is_bounded() {
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable("abc", 3), "abc");
    }
}

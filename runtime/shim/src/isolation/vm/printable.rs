//! Text of the guest on its way to a terminal.

/// Bytes that are shown at most, from the end.
const MAX: usize = 4 << 10;

/// Without control characters, which could do anything to the terminal that shows them; line breaks stay.
pub(crate) fn printable(text: &str) -> String {
    let from = text.ceil_char_boundary(text.len().saturating_sub(MAX));
    let tail = text.get(from..).unwrap_or_default();
    tail.chars().filter(|c| *c == '\n' || !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_out_and_the_end_is_kept() {
        assert_eq!(printable("\x1b[2Jpanic: \u{9b}31mé\r\nlast\n\n"), "[2Jpanic: 31mé\nlast");
        let long = printable(&format!("{}end", "é".repeat(MAX)));
        assert!(long.ends_with("end") && long.len() <= MAX);
    }
}

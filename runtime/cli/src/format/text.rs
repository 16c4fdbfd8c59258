//! Texts of others: cut to a width, and without power over the terminal.

/// Without control characters: what an image or a registry says must not move the cursor or end a line.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most `width` characters; what is cut away leaves a `…`.
pub(crate) fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_characters() {
        assert_eq!(ellipsis("short", 5), "short");
        assert_eq!(ellipsis("longer", 5), "long…");
        assert_eq!(ellipsis("äöüäöü", 4), "äöü…");
    }
}

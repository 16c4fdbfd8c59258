//! Docker's functions of texts.

use serde_json::Value;

use crate::item::Item;

/// JSON as Go's encoder writes it without escaping HTML.
pub(super) fn json(item: &Item<'_>) -> Result<String, String> {
    let text = serde_json::to_string(&item.to_value()).map_err(|e| e.to_string())?;
    Ok(text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
}

/// Go's `strings.Split`: an empty separator parts all characters.
pub(super) fn split(text: &str, separator: &str) -> Vec<String> {
    if separator.is_empty() {
        return text.chars().map(String::from).collect();
    }
    text.split(separator).map(str::to_owned).collect()
}

pub(super) fn join(list: &Item<'_>, separator: &str) -> String {
    let parts: Vec<&str> = match list.value() {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    parts.join(separator)
}

/// Go's `strings.Title`: the first letter of each word.
pub(super) fn title(text: &str) -> String {
    let mut previous = ' ';
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        if is_separator(previous) {
            titled.extend(c.to_uppercase());
        } else {
            titled.push(c);
        }
        previous = c;
    }
    titled
}

fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    !c.is_alphanumeric() && c.is_whitespace()
}

/// Spaces around a text that is not empty.
pub(super) fn pad(text: &str, before: i64, after: i64, memory: usize) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let count = |n: i64| usize::try_from(n).map_err(|_| "strings: negative Repeat count".to_owned());
    let (before, after) = (count(before)?, count(after)?);
    if before.saturating_add(after) > memory {
        return Err(format!("the result is longer than {memory} bytes"));
    }
    Ok(format!("{}{text}{}", " ".repeat(before), " ".repeat(after)))
}

/// At most so many characters.
pub(super) fn truncate(text: &str, length: i64) -> String {
    text.chars().take(usize::try_from(length).unwrap_or(usize::MAX)).collect()
}

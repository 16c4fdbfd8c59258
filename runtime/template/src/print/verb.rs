//! One verb of `printf` on one value.

use serde_json::Value;

use super::float;
use crate::item::json_type_name;
use crate::literal;

/// `%-08.3x` taken apart.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a format")]
pub(super) struct Verb {
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) letter: char,
}

impl Verb {
    pub(super) fn apply(&self, value: &Value) -> String {
        match (self.letter, value) {
            ('T', value) => self.pad(json_type_name(value), false),
            ('v', Value::Null) => self.pad("<nil>", false),
            (_, Value::Null) => format!("%!{}(<nil>)", self.letter),
            (_, Value::Array(list)) if self.letter != 'v' || !self.sharp => {
                let parts: Vec<String> = list.iter().map(|value| self.element(value)).collect();
                format!("[{}]", parts.join(" "))
            }
            (_, Value::Object(map)) if self.letter != 'v' || !self.sharp => {
                let name = |key: &String| self.apply(&Value::from(key.as_str()));
                let parts: Vec<String> =
                    map.iter().map(|(key, value)| format!("{}:{}", name(key), self.element(value))).collect();
                format!("map[{}]", parts.join(" "))
            }
            ('v', Value::Array(_) | Value::Object(_)) => self.pad(&source(value), false),
            (_, Value::String(text)) => self.text(text),
            (_, Value::Bool(flag)) => self.flag(*flag),
            (_, Value::Number(number)) if number.is_f64() => self.float(number.as_f64().unwrap_or_default()),
            (_, Value::Number(number)) => self.integer(number.as_i128().unwrap_or_default()),
            _ => self.bad(value),
        }
    }

    /// A nil within a list is no error.
    fn element(&self, value: &Value) -> String {
        if value.is_null() && self.letter != 'T' { "<nil>".to_owned() } else { self.apply(value) }
    }

    fn bad(&self, value: &Value) -> String {
        let shown = Verb { letter: 'v', ..Verb::default() }.apply(value);
        format!("%!{}({}={shown})", self.letter, json_type_name(value))
    }

    /// Fills up to the width; zeros go behind the sign.
    fn pad(&self, text: &str, numeric: bool) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return text.to_owned();
        }
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        if self.zero && numeric {
            let digits = text.trim_start_matches(['+', '-', ' ']);
            let sign = &text[..text.len() - digits.len()];
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        let filler = if self.zero { "0" } else { " " };
        format!("{}{text}", filler.repeat(missing))
    }

    fn text(&self, text: &str) -> String {
        let cut = |text: &str| match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        };
        match self.letter {
            'v' if self.sharp => self.pad(&literal::quote(text), false),
            'v' | 's' => self.pad(&cut(text), false),
            'q' if self.sharp && !text.contains(['`', '\n']) => self.pad(&format!("`{}`", cut(text)), false),
            'q' => self.pad(&literal::quote_as(&cut(text), self.plus), false),
            'x' | 'X' => {
                let bytes = text.as_bytes();
                let bytes = &bytes[..self.precision.unwrap_or(bytes.len()).min(bytes.len())];
                let one = |byte: &u8| {
                    if self.letter == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") }
                };
                let parts: Vec<String> = bytes.iter().map(one).collect();
                let prefix =
                    if self.sharp && !bytes.is_empty() { format!("0{}", self.letter) } else { String::new() };
                let separator = if self.space { " " } else { "" };
                self.pad(&format!("{prefix}{}", parts.join(separator)), false)
            }
            _ => self.bad(&Value::from(text)),
        }
    }

    fn flag(&self, flag: bool) -> String {
        match self.letter {
            't' | 'v' => self.pad(if flag { "true" } else { "false" }, false),
            _ => self.bad(&Value::from(flag)),
        }
    }

    fn integer(&self, value: i128) -> String {
        let magnitude = value.unsigned_abs();
        let (digits, prefix) = match self.letter {
            'd' | 'v' => (format!("{magnitude}"), ""),
            'b' => (format!("{magnitude:b}"), "0b"),
            'o' => (format!("{magnitude:o}"), "0"),
            'O' => (format!("0o{magnitude:o}"), ""),
            'x' => (format!("{magnitude:x}"), "0x"),
            'X' => (format!("{magnitude:X}"), "0X"),
            'c' | 'q' | 'U' => return self.character(value),
            _ => return self.bad(&Value::from(value as i64)),
        };
        let digits = match self.precision {
            Some(0) if value == 0 => String::new(),
            Some(precision) => format!("{digits:0>precision$}"),
            None => digits,
        };
        let prefix = if self.sharp && self.letter != 'v' { prefix } else { "" };
        let sign = self.sign(value < 0);
        let numeric = self.precision.is_none();
        let padded = Verb { zero: self.zero && numeric, ..self.clone() };
        padded.pad(&format!("{sign}{prefix}{digits}"), true)
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }

    fn character(&self, value: i128) -> String {
        let c = u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
        let text = match self.letter {
            'c' => c.to_string(),
            'q' => literal::quote_character(c, self.plus),
            _ if self.sharp => format!("U+{:04X} '{c}'", c as u32),
            _ => format!("U+{value:04X}"),
        };
        self.pad(&text, false)
    }

    fn float(&self, value: f64) -> String {
        let text = match self.letter {
            'v' => match self.precision {
                Some(_) => float::general(value, self.precision, 21),
                None => float::shortest(value),
            },
            'g' | 'G' => float::general(value, self.precision, 21),
            'e' | 'E' => float::scientific(value, self.precision.unwrap_or(6), self.letter),
            'f' | 'F' => float::fixed(value, self.precision.unwrap_or(6)),
            _ => return self.bad(&Value::from(value)),
        };
        let text = if self.letter == 'G' { text.replace('e', "E") } else { text };
        let sign = if text.starts_with(['-', '+']) { "" } else { self.sign(false) };
        self.pad(&format!("{sign}{text}"), true)
    }
}

/// `%#v` of lists and maps: as Go source.
fn source(value: &Value) -> String {
    let one = |value: &Value| Verb { letter: 'v', sharp: true, ..Verb::default() }.apply(value);
    match value {
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(one).collect();
            format!("[]interface {{}}{{{}}}", parts.join(", "))
        }
        Value::Object(map) => {
            let parts: Vec<String> =
                map.iter().map(|(key, value)| format!("{}:{}", literal::quote(key), one(value))).collect();
            format!("map[string]interface {{}}{{{}}}", parts.join(", "))
        }
        other => one(other),
    }
}

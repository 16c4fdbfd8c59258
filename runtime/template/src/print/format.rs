//! `printf`: the format's text, its verbs, and what Go writes when they and the arguments do not fit.

use serde_json::Value;

use super::verb::Verb;
use crate::item::{Item, json_type_name};

/// Go's bound on width and precision.
const LARGEST: i64 = 1_000_000;

/// Formats; `memory` is how many bytes the result may have.
pub(crate) fn sprintf(format: &str, items: &[Item<'_>], memory: usize) -> Result<String, String> {
    let values: Vec<Value> = items.iter().map(Item::to_value).collect();
    let mut run = Run { values: &values, next: 0, reordered: false };
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = run.verb(after, &mut out);
        if out.len() > memory {
            return Err(format!("the result is longer than {memory} bytes"));
        }
    }
    out.push_str(rest);
    if !run.reordered && run.next < values.len() {
        let shown = |value: &Value| match value {
            Value::Null => "<nil>".to_owned(),
            value => {
                format!("{}={}", json_type_name(value), Verb { letter: 'v', ..Verb::default() }.apply(value))
            }
        };
        let extra: Vec<String> = values[run.next..].iter().map(shown).collect();
        out.extend(["%!(EXTRA ", &extra.join(", "), ")"]);
    }
    Ok(out)
}

struct Run<'v> {
    values: &'v [Value],
    next: usize,
    /// An index was named, so that unused arguments are no mistake.
    reordered: bool,
}

impl Run<'_> {
    /// One verb behind its `%`; what follows it.
    fn verb<'f>(&mut self, format: &'f str, out: &mut String) -> &'f str {
        let mut verb = Verb::default();
        let mut rest = format;
        while let Some(flag) = rest.chars().next() {
            match flag {
                '-' => (verb.minus, verb.zero) = (true, false),
                '+' => verb.plus = true,
                '#' => verb.sharp = true,
                ' ' => verb.space = true,
                '0' => verb.zero = !verb.minus,
                _ => break,
            }
            rest = &rest[1..];
        }
        let mut good = self.index(&mut rest);
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            match self.star() {
                Some(width) => {
                    verb.minus |= width < 0;
                    verb.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
        } else {
            verb.width = number(&mut rest);
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            good &= self.index(&mut rest);
            if let Some(after) = rest.strip_prefix('*') {
                rest = after;
                match self.star().and_then(|precision| usize::try_from(precision).ok()) {
                    Some(precision) => verb.precision = Some(precision),
                    None => out.push_str("%!(BADPREC)"),
                }
            } else {
                verb.precision = Some(number(&mut rest).unwrap_or(0));
            }
        }
        good &= self.index(&mut rest);
        let Some(letter) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            return rest;
        };
        rest = &rest[letter.len_utf8()..];
        verb.letter = letter;
        if letter == '%' {
            out.push('%');
        } else if !good {
            out.extend(["%!", &letter.to_string(), "(BADINDEX)"]);
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            out.push_str(&verb.apply(value));
        } else {
            out.extend(["%!", &letter.to_string(), "(MISSING)"]);
        }
        rest
    }

    /// `[2]`: whether it names an argument, or is not there.
    fn index(&mut self, rest: &mut &str) -> bool {
        let Some(after) = rest.strip_prefix('[') else { return true };
        self.reordered = true;
        let Some((inside, after)) = after.split_once(']') else {
            return false;
        };
        *rest = after;
        match inside.parse::<usize>() {
            Ok(n) if (1..=self.values.len()).contains(&n) => {
                self.next = n - 1;
                true
            }
            _ => false,
        }
    }

    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next).and_then(Value::as_i64);
        self.next += 1;
        value.filter(|value| (-LARGEST..=LARGEST).contains(value))
    }
}

fn number(rest: &mut &str) -> Option<usize> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let value = rest.get(..digits)?.parse::<i64>().ok();
    *rest = &rest[digits..];
    value.filter(|value| *value <= LARGEST).and_then(|value| usize::try_from(value).ok())
}

//! Go's `fmt`: values as `print`, `printf` and the end of an action show them.

mod float;
mod format;
mod verb;

use std::fmt::Write;

use serde_json::Value;

use crate::item::Item;
use crate::shape::Shape;

pub(crate) use format::sprintf;

/// What an action prints.
pub(crate) fn top(item: &Item<'_>) -> String {
    match item {
        Item::Nothing | Item::Absent(Shape::Any, _) => "<no value>".to_owned(),
        other => plain(other),
    }
}

/// `%v`
fn plain(item: &Item<'_>) -> String {
    let mut text = String::new();
    match item {
        Item::Nothing | Item::Absent(Shape::Any | Shape::Struct(_), _) => text.push_str("<nil>"),
        Item::Absent(Shape::Text, _) => {}
        Item::Absent(Shape::Number, _) => text.push('0'),
        Item::Absent(Shape::Flag, _) => text.push_str("false"),
        Item::Absent(Shape::List(_), _) => text.push_str("[]"),
        Item::Absent(Shape::Map(_), _) => text.push_str("map[]"),
        Item::Data(Value::Object(map), Shape::Struct(_)) => {
            text.push('{');
            for (index, value) in map.values().enumerate() {
                text.push_str(if index > 0 { " " } else { "" });
                push(&mut text, value);
            }
            text.push('}');
        }
        Item::Data(value, _) => push(&mut text, value),
        Item::Made(value) => push(&mut text, value),
    }
    text
}

fn push(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(value) => out.push_str(&float::shortest(value)),
            None => {
                // Writing to a text does not fail.
                let _ = write!(out, "{number}");
            }
        },
        Value::String(text) => out.push_str(text),
        Value::Array(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                out.push_str(if index > 0 { " " } else { "" });
                push(out, value);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (index, (key, value)) in map.iter().enumerate() {
                out.push_str(if index > 0 { " " } else { "" });
                out.push_str(key);
                out.push(':');
                push(out, value);
            }
            out.push(']');
        }
    }
}

/// What `html` and its kind escape: nothing is `<no value>` to them.
pub(crate) fn escaped(items: &[Item<'_>]) -> String {
    let shown: Vec<Item<'_>> = items
        .iter()
        .map(|item| if matches!(item, Item::Nothing) { Item::made("<no value>") } else { item.clone() })
        .collect();
    sprint(&shown)
}

/// Spaces stand between operands of which neither is a text.
pub(crate) fn sprint(items: &[Item<'_>]) -> String {
    let mut text = String::new();
    let mut previous_is_text = true;
    for (index, item) in items.iter().enumerate() {
        let is_text = item.text().is_some();
        if index > 0 && !is_text && !previous_is_text {
            text.push(' ');
        }
        text.push_str(&plain(item));
        previous_is_text = is_text;
    }
    text
}

/// Spaces stand between all operands.
pub(crate) fn sprintln(items: &[Item<'_>]) -> String {
    let words: Vec<String> = items.iter().map(plain).collect();
    words.join(" ") + "\n"
}

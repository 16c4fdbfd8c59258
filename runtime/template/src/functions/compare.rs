//! `eq`, `lt` and their kind: Go compares basic types with their own kind only.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::item::Item;
use crate::print;
use crate::shape::Shape;

const INCOMPATIBLE: &str = "incompatible types for comparison";
const INVALID: &str = "invalid type for comparison";

/// Whether the first equals any of the others.
pub(super) fn any_equal(first: &Item<'_>, others: &[Item<'_>]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Item<'_>, b: &Item<'_>) -> Result<bool, String> {
    let (left, right) = (basic(a), basic(b));
    match (&left, &right) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Array(_) | Value::Object(_), Value::Null)
        | (Value::Null, Value::Array(_) | Value::Object(_)) => Ok(false),
        (Value::Array(_) | Value::Object(_), _) => Err(not_comparable(a)),
        (_, Value::Array(_) | Value::Object(_)) => Err(not_comparable(b)),
        (Value::Null, _) | (_, Value::Null) => Ok(false),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::String(a), Value::String(b)) => Ok(a == b),
        (Value::Number(a), Value::Number(b)) => Ok(numbers(a, b)? == Ordering::Equal),
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}

pub(super) fn less(a: &Item<'_>, b: &Item<'_>) -> Result<bool, String> {
    let (a, b) = (basic(a), basic(b));
    match (&a, &b) {
        (Value::Number(a), Value::Number(b)) => Ok(numbers(a, b)? == Ordering::Less),
        (Value::String(a), Value::String(b)) => Ok(a < b),
        (Value::Bool(_), Value::Bool(_)) => Err(INVALID.to_owned()),
        (a, b) if is_basic(a) && is_basic(b) => Err(INCOMPATIBLE.to_owned()),
        _ => Err(INVALID.to_owned()),
    }
}

fn is_basic(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_))
}

fn not_comparable(item: &Item<'_>) -> String {
    format!("non-comparable type {}: {}", print::top(item), item.type_name())
}

fn basic(item: &Item<'_>) -> Value {
    match item {
        // An empty list or map is nil to Go, but not a basic value.
        Item::Absent(Shape::List(_) | Shape::Map(_), _) => Value::Null,
        other => other.to_value(),
    }
}

fn numbers(a: &Number, b: &Number) -> Result<Ordering, String> {
    if a.is_f64() != b.is_f64() {
        return Err(INCOMPATIBLE.to_owned());
    }
    if let (Some(a), Some(b)) = (a.as_i128(), b.as_i128()) {
        return Ok(a.cmp(&b));
    }
    a.as_f64().partial_cmp(&b.as_f64()).ok_or_else(|| INCOMPATIBLE.to_owned())
}

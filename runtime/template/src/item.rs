//! A value while a template runs: a place in the caller's data with its shape, or something a function made.

use std::rc::Rc;

use serde_json::Value;

use crate::shape::Shape;

#[derive(Debug, Clone)]
pub(crate) enum Item<'a> {
    /// There is nothing: Go's invalid value, printed as `<no value>`.
    Nothing,
    /// A field that its shape knows and the data has not, under this name in JSON.
    Absent(&'a Shape, &'a str),
    /// Part of the data. Never null.
    Data(&'a Value, &'a Shape),
    /// Made by a function or a literal.
    Made(Rc<Value>),
}

impl<'a> Item<'a> {
    pub(crate) fn made(value: impl Into<Value>) -> Item<'a> {
        Item::Made(Rc::new(value.into()))
    }

    /// A place in the data; null is what its shape makes of it.
    pub(crate) fn data(value: &'a Value, shape: &'a Shape, key: &'a str) -> Item<'a> {
        match (value, shape) {
            (Value::Null, Shape::Any) => Item::Nothing,
            (Value::Null, shape) => Item::Absent(shape, key),
            (value, shape) => Item::Data(value, shape),
        }
    }

    /// The JSON behind it, if there is some.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Item::Nothing | Item::Absent(..) => None,
            Item::Data(value, _) => Some(value),
            Item::Made(value) => Some(value),
        }
    }

    /// The JSON that it is for functions, absent ones being Go's zero values.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Item::Nothing => Value::Null,
            Item::Absent(shape, _) => zero(shape),
            Item::Data(value, _) => (*value).clone(),
            Item::Made(value) => (**value).clone(),
        }
    }

    /// As a text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Item::Absent(Shape::Text, _) => Some(""),
            other => other.value()?.as_str(),
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Item::Absent(Shape::Number, _) => Some(0),
            other => other.value()?.as_i64(),
        }
    }

    /// Go's truth: not empty, not zero, not nil.
    pub(crate) fn truth(&self) -> bool {
        match self.value() {
            None | Some(Value::Null) => false,
            Some(Value::Bool(value)) => *value,
            Some(Value::Number(number)) => number.as_f64().is_none_or(|value| value != 0.0),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(map)) => self.is_struct() || !map.is_empty(),
        }
    }

    fn is_struct(&self) -> bool {
        matches!(self, Item::Data(_, Shape::Struct(_)))
    }

    /// Go's name of its type.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Item::Nothing => "<nil>".to_owned(),
            Item::Data(value, Shape::Any) => json_type_name(value).to_owned(),
            Item::Absent(shape, _) | Item::Data(_, shape) => shape_name(shape),
            Item::Made(value) => json_type_name(value).to_owned(),
        }
    }

    /// The member at a position of a list.
    pub(crate) fn element(&self, index: usize) -> Option<Item<'a>> {
        Some(match self {
            Item::Data(Value::Array(list), shape) => {
                let inner = if let Shape::List(inner) = shape { inner } else { &Shape::Any };
                Item::data(list.get(index)?, inner, "")
            }
            Item::Made(value) => made(value.as_array()?.get(index)?),
            _ => return None,
        })
    }

    /// The member of a map or an object without shape.
    pub(crate) fn member(&self, key: &str) -> Option<Item<'a>> {
        Some(match self {
            Item::Data(Value::Object(map), shape) => {
                let (key, value) = map.get_key_value(key)?;
                let inner = if let Shape::Map(inner) = shape { inner } else { &Shape::Any };
                Item::data(value, inner, key)
            }
            Item::Made(value) => made(value.as_object()?.get(key)?),
            _ => return None,
        })
    }
}

fn made<'a>(value: &Value) -> Item<'a> {
    if value.is_null() { Item::Nothing } else { Item::made(value.clone()) }
}

fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::Any | Shape::Struct(_) | Shape::List(_) | Shape::Map(_) => Value::Null,
        Shape::Text => Value::from(""),
        Shape::Number => Value::from(0),
        Shape::Flag => Value::from(false),
    }
}

fn shape_name(shape: &Shape) -> String {
    match shape {
        Shape::Any => "interface {}".to_owned(),
        Shape::Text => "string".to_owned(),
        Shape::Number => "int".to_owned(),
        Shape::Flag => "bool".to_owned(),
        Shape::List(inner) => format!("[]{}", shape_name(inner)),
        Shape::Map(inner) => format!("map[string]{}", shape_name(inner)),
        Shape::Struct(shape) => shape.name.to_owned(),
    }
}

pub(crate) fn json_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

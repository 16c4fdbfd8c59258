//! `len`, `index` and `slice`.

use serde_json::Value;

use crate::item::Item;
use crate::shape::Shape;

pub(super) fn len(item: &Item<'_>) -> Result<u64, String> {
    match (item, item.value()) {
        (Item::Absent(Shape::Text | Shape::List(_) | Shape::Map(_), _), _) => Ok(0),
        (_, Some(Value::String(text))) => Ok(text.len() as u64),
        (_, Some(Value::Array(list))) => Ok(list.len() as u64),
        (Item::Data(_, Shape::Struct(shape)), _) => Err(format!("len of type {}", shape.name)),
        (_, Some(Value::Object(map))) => Ok(map.len() as u64),
        (_, None) => Err("len of nil pointer".to_owned()),
        _ => Err(format!("len of type {}", item.type_name())),
    }
}

pub(super) fn index<'a>(item: &Item<'a>, keys: &[Item<'a>]) -> Result<Item<'a>, String> {
    let mut current = item.clone();
    for key in keys {
        current = index_once(&current, key)?;
    }
    Ok(current)
}

fn index_once<'a>(item: &Item<'a>, key: &Item<'a>) -> Result<Item<'a>, String> {
    match (item, item.value()) {
        (Item::Nothing, _) => Err("index of untyped nil".to_owned()),
        (Item::Absent(Shape::Map(inner), name), _) => {
            map_key(key)?;
            Ok(absent(inner, name))
        }
        (Item::Absent(Shape::List(_), _), _) => {
            let at = position(key)?;
            Err(format!("index out of range: {at}"))
        }
        (Item::Absent(..), _) => Err("index of nil pointer".to_owned()),
        (_, Some(Value::Array(list))) => {
            let at = position(key)?;
            let inside = usize::try_from(at).ok().filter(|at| *at < list.len());
            let inside = inside.ok_or_else(|| format!("index out of range: {at}"))?;
            Ok(item.element(inside).unwrap_or(Item::Nothing))
        }
        (_, Some(Value::String(text))) => {
            let at = position(key)?;
            let byte = usize::try_from(at).ok().and_then(|at| text.as_bytes().get(at));
            byte.map(|byte| Item::made(*byte)).ok_or_else(|| format!("index out of range: {at}"))
        }
        (Item::Data(_, Shape::Struct(shape)), _) => Err(format!("can't index item of type {}", shape.name)),
        (_, Some(Value::Object(_))) => {
            let name = map_key(key)?;
            let inner = if let Item::Data(_, Shape::Map(inner)) = item { Some(*inner) } else { None };
            Ok(item.member(name).unwrap_or_else(|| inner.map_or(Item::Nothing, |inner| absent(inner, ""))))
        }
        _ => Err(format!("can't index item of type {}", item.type_name())),
    }
}

fn absent<'a>(shape: &'a Shape, name: &'a str) -> Item<'a> {
    if *shape == Shape::Any { Item::Nothing } else { Item::Absent(shape, name) }
}

fn map_key<'k>(key: &'k Item<'_>) -> Result<&'k str, String> {
    key.text().ok_or_else(|| match key {
        Item::Nothing => "value is nil; should be of type string".to_owned(),
        _ => format!("value has type {}; should be string", key.type_name()),
    })
}

fn position(key: &Item<'_>) -> Result<i64, String> {
    key.integer().ok_or_else(|| match key {
        Item::Nothing => "cannot index slice/array with nil".to_owned(),
        _ => format!("cannot index slice/array with type {}", key.type_name()),
    })
}

/// `slice x 1 2` is `x[1:2]`.
pub(super) fn slice<'a>(item: &Item<'a>, bounds: &[Item<'a>]) -> Result<Item<'a>, String> {
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let empty = Value::Array(Vec::new());
    let value = match item {
        Item::Nothing => return Err("slice of untyped nil".to_owned()),
        Item::Absent(Shape::List(_), _) => &empty,
        Item::Absent(Shape::Text, _) => &Value::String(String::new()),
        other => other.value().ok_or("slice of nil pointer")?,
    };
    let length = match value {
        Value::Array(list) => list.len(),
        Value::String(_) if bounds.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::String(text) => text.len(),
        _ => return Err(format!("can't slice item of type {}", item.type_name())),
    };
    let mut at = [0, length, length];
    for (index, bound) in bounds.iter().enumerate() {
        let wanted = position(bound)?;
        let inside = usize::try_from(wanted).ok().filter(|wanted| *wanted <= length);
        at[index] = inside.ok_or_else(|| format!("index out of range: {wanted}"))?;
    }
    if at[0] > at[1] {
        return Err(format!("invalid slice index: {} > {}", at[0], at[1]));
    }
    if at[1] > at[2] {
        return Err(format!("invalid slice index: {} > {}", at[1], at[2]));
    }
    Ok(match value {
        Value::Array(list) => Item::made(Value::Array(list[at[0]..at[1]].to_vec())),
        // Go cuts bytes; half a character becomes the replacement character.
        Value::String(text) => {
            Item::made(String::from_utf8_lossy(&text.as_bytes()[at[0]..at[1]]).into_owned())
        }
        _ => Item::Nothing,
    })
}

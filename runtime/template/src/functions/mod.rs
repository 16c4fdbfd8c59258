//! The functions: Go's own and Docker's.

mod access;
mod compare;
mod text;

use serde_json::Value;

use crate::data::Functions;
use crate::escape;
use crate::item::Item;
use crate::print;

pub(crate) use crate::signature::exists;

/// What a function is called with; kinds and number are checked before.
#[derive(Debug, Default)]
pub(crate) struct Arguments<'a>(pub(crate) Vec<Item<'a>>);

impl<'a> Arguments<'a> {
    fn item(&self, index: usize) -> &Item<'a> {
        self.0.get(index).unwrap_or(&Item::Nothing)
    }

    fn text(&self, index: usize) -> &str {
        self.item(index).text().unwrap_or_default()
    }

    fn integer(&self, index: usize) -> i64 {
        self.item(index).integer().unwrap_or_default()
    }
}

/// Calls a function; `memory` is how many bytes its result may have.
pub(crate) fn call<'a>(
    name: &str,
    functions: Functions,
    arguments: &Arguments<'a>,
    memory: usize,
) -> Result<Item<'a>, String> {
    let header = functions == Functions::Header;
    let text = match name {
        "json" | "split" | "join" | "truncate" if header => arguments.text(0).to_owned(),
        "json" => text::json(arguments.item(0))?,
        "join" => text::join(arguments.item(0), arguments.text(1)),
        "title" => text::title(arguments.text(0)),
        "lower" => arguments.text(0).to_lowercase(),
        "upper" => arguments.text(0).to_uppercase(),
        "pad" => text::pad(arguments.text(0), arguments.integer(1), arguments.integer(2), memory)?,
        "truncate" => text::truncate(arguments.text(0), arguments.integer(1)),
        "print" => print::sprint(&arguments.0),
        "println" => print::sprintln(&arguments.0),
        "printf" => print::sprintf(arguments.text(0), &arguments.0[1..], memory)?,
        "html" => escape::html(&print::escaped(&arguments.0)),
        "js" => escape::js(&print::escaped(&arguments.0)),
        "urlquery" => escape::url_query(&print::escaped(&arguments.0)),
        _ => return other(name, arguments),
    };
    Ok(Item::made(text))
}

/// Those that do not make a text.
fn other<'a>(name: &str, arguments: &Arguments<'a>) -> Result<Item<'a>, String> {
    let (first, second) = (arguments.item(0), arguments.item(1));
    Ok(match name {
        "not" => Item::made(!first.truth()),
        "len" => Item::made(access::len(first)?),
        "index" => access::index(first, &arguments.0[1..])?,
        "slice" => access::slice(first, &arguments.0[1..])?,
        "split" => {
            let parts = text::split(arguments.text(0), arguments.text(1));
            Item::made(Value::Array(parts.into_iter().map(Value::String).collect()))
        }
        "eq" => Item::made(compare::any_equal(first, &arguments.0[1..])?),
        "ne" => Item::made(!compare::any_equal(first, &arguments.0[1..])?),
        "lt" => Item::made(compare::less(first, second)?),
        "le" => Item::made(!compare::less(second, first)?),
        "gt" => Item::made(compare::less(second, first)?),
        _ => Item::made(!compare::less(first, second)?),
    })
}

/// About how many bytes a value takes.
pub(crate) fn weight(value: &Value) -> usize {
    let own = size_of::<Value>();
    match value {
        Value::String(text) => own + text.len(),
        Value::Array(list) => list.iter().map(weight).sum::<usize>() + own,
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>() + own,
        _ => own,
    }
}

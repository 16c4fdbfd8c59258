//! Fields: members of the data by what their shape says, and methods of the outermost value.

use serde_json::Value;

use crate::error::Error;
use crate::execute::Run;
use crate::functions;
use crate::item::Item;
use crate::literal;
use crate::node::Command;
use crate::operand::At;
use crate::shape::{Missing, Shape};

/// Go's words for a field that is called.
const NO_METHOD: &str = "is not a method but has arguments";

/// A command whose first operand may be a method.
pub(crate) struct Call<'n, 'a> {
    pub(crate) command: &'a Command,
    pub(crate) dot: &'n Item<'a>,
    pub(crate) last: Option<Item<'a>>,
}

impl<'a> Run<'a> {
    /// `receiver.A.B.C`; the last one may be a method that takes the command's arguments.
    pub(crate) fn fields(
        &mut self,
        receiver: &Item<'a>,
        names: &'a [String],
        at: At<'_>,
        mut call: Option<Call<'_, 'a>>,
    ) -> Result<Item<'a>, Error> {
        let mut value = receiver.clone();
        for (index, name) in names.iter().enumerate() {
            let call = if index + 1 == names.len() { call.take() } else { None };
            value = self.field(&value, name, at, call)?;
        }
        Ok(value)
    }

    fn field(
        &mut self,
        receiver: &Item<'a>,
        name: &'a str,
        at: At<'_>,
        call: Option<Call<'_, 'a>>,
    ) -> Result<Item<'a>, Error> {
        let has_arguments =
            call.as_ref().is_some_and(|c| !c.command.arguments.is_empty() || c.last.is_some());
        if let Some(found) = known_field(receiver, name) {
            if has_arguments {
                let is_struct = matches!(receiver, Item::Data(_, Shape::Struct(_)));
                let why =
                    if is_struct { "has arguments but cannot be invoked as function" } else { NO_METHOD };
                let what = format!("{name} {why}");
                return Err(self.fail(at, &what));
            }
            return Ok(found);
        }
        if self.is_root(receiver) {
            let arguments = match call {
                Some(call) => self.method_arguments(call)?,
                None => Vec::new(),
            };
            if let Some(result) = self.data.methods.call(name, &arguments) {
                let value = result.map_err(|why| self.fail(at, &format!("error calling {name}: {why}")))?;
                self.pay(functions::weight(&value))?;
                return Ok(Item::made(value));
            }
        }
        if has_arguments && receiver.value().is_some_and(Value::is_object) {
            let what = format!("{name} {NO_METHOD}");
            return Err(self.fail(at, &what));
        }
        self.missing(receiver, name, at)
    }

    fn is_root(&self, item: &Item<'a>) -> bool {
        matches!(item, Item::Data(value, _) if std::ptr::eq(*value, self.data.value))
    }

    fn method_arguments(&mut self, call: Call<'_, 'a>) -> Result<Vec<Value>, Error> {
        let mut values = Vec::new();
        for argument in &call.command.arguments {
            let value = self.operand(argument, call.dot)?.to_value();
            self.pay(functions::weight(&value))?;
            values.push(value);
        }
        values.extend(call.last.map(|last| last.to_value()));
        Ok(values)
    }

    /// A name that is not there.
    fn missing(&self, receiver: &Item<'a>, name: &str, at: At<'_>) -> Result<Item<'a>, Error> {
        let strict = self.data.missing == Missing::Error;
        let quoted = literal::quote(name);
        let what = match receiver {
            Item::Nothing if strict => format!("nil data; no entry for key {quoted}"),
            Item::Nothing
            | Item::Absent(Shape::Any | Shape::Map(_), _)
            | Item::Data(Value::Object(_), Shape::Map(_)) => return Ok(Item::Nothing),
            Item::Absent(_, key) if strict => {
                format!("map has no entry for key {}", literal::quote(key))
            }
            Item::Absent(..) => format!("nil pointer evaluating {}.{name}", receiver.type_name()),
            Item::Data(Value::Object(_), _) if strict => format!("map has no entry for key {quoted}"),
            Item::Data(Value::Object(_), Shape::Any) => return Ok(Item::Nothing),
            Item::Made(value) if value.is_object() => return Ok(Item::Nothing),
            Item::Data(_, Shape::Any) => format!("can't evaluate field {name} in type interface {{}}"),
            other => format!("can't evaluate field {name} in type {}", other.type_name()),
        };
        Err(self.fail(at, &what))
    }
}

fn known_field<'a>(receiver: &Item<'a>, name: &'a str) -> Option<Item<'a>> {
    let Item::Data(value, Shape::Struct(shape)) = receiver else { return receiver.member(name) };
    let map = value.as_object()?;
    match shape.field(name) {
        Some(field) => Some(match map.get(field.key) {
            Some(value) => Item::data(value, &field.shape, field.key),
            None => Item::Absent(&field.shape, field.key),
        }),
        None => receiver.member(name),
    }
}

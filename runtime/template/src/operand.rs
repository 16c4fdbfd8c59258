//! Commands and operands: fields, functions, methods and their arguments.

use serde_json::Value;

use crate::error::{Error, Position};
use crate::execute::{Run, failed};
use crate::functions::{self, Arguments};
use crate::item::{Item, json_type_name};
use crate::literal::Number;
use crate::node::{Command, Operand, OperandKind, Pipe};
use crate::shape::{Missing, Shape};
use crate::signature::{self, Parameter, Signature};

/// Go's words for a field that is called.
const NO_METHOD: &str = "is not a method but has arguments";

/// Where an error is reported.
#[derive(Clone, Copy)]
pub(crate) struct At<'n> {
    pub(crate) position: Position,
    pub(crate) shown: &'n dyn std::fmt::Display,
}

impl<'a> Run<'a> {
    /// The commands in their order, each one's value the last argument of the next.
    pub(crate) fn pipeline(&mut self, pipe: &'a Pipe, dot: &Item<'a>) -> Result<Item<'a>, Error> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Item::Nothing))
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Item<'a>,
        last: Option<Item<'a>>,
    ) -> Result<Item<'a>, Error> {
        self.step()?;
        let first = &command.first;
        let at = At { position: first.position, shown: first };
        match &first.kind {
            OperandKind::Function(name) => {
                let whole = At { position: at.position, shown: command };
                self.function(name, at, whole, &command.arguments, dot, last)
            }
            OperandKind::Field(names) => {
                let receiver = dot.clone();
                self.fields(&receiver, names, at, Some(Call { command, dot, last }))
            }
            OperandKind::Variable(name, names) if !names.is_empty() => {
                let receiver = self.variable(name);
                self.fields(&receiver, names, at, Some(Call { command, dot, last }))
            }
            OperandKind::Chain(inner, names) => {
                let receiver = self.operand(inner, dot)?;
                self.fields(&receiver, names, inside(inner, at), Some(Call { command, dot, last }))
            }
            _ if !command.arguments.is_empty() || last.is_some() => {
                Err(self.fail(at, &format!("can't give argument to non-function {first}")))
            }
            OperandKind::Nil => Err(self.fail(at, "nil is not a command")),
            _ => self.operand(first, dot),
        }
    }

    /// The value of an operand without arguments.
    fn operand(&mut self, operand: &'a Operand, dot: &Item<'a>) -> Result<Item<'a>, Error> {
        let at = At { position: operand.position, shown: operand };
        Ok(match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Nil => Item::Nothing,
            OperandKind::Bool(value) => Item::made(*value),
            OperandKind::Number { value, .. } => match value {
                Number::Integer(n) => Item::made(*n),
                Number::Unsigned(n) => Item::made(*n),
                Number::Float(n) => Item::made(*n),
            },
            OperandKind::Text { value, .. } => {
                self.pay(value.len())?;
                Item::made(value.as_str())
            }
            OperandKind::Field(names) => self.fields(dot, names, at, None)?,
            OperandKind::Variable(name, names) => {
                let receiver = self.variable(name);
                self.fields(&receiver, names, at, None)?
            }
            OperandKind::Function(name) => {
                self.step()?;
                self.function(name, at, at, &[], dot, None)?
            }
            OperandKind::Pipe(pipe) => self.inner_pipe(pipe, dot)?,
            OperandKind::Chain(inner, names) => {
                let receiver = self.operand(inner, dot)?;
                self.fields(&receiver, names, inside(inner, at), None)?
            }
        })
    }

    pub(crate) fn fail(&self, at: At<'_>, what: &str) -> Error {
        failed(self, at.position, at.shown, what)
    }

    /// `receiver.A.B.C`; the last one may be a method that takes the command's arguments.
    fn fields(
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
        let quoted = crate::literal::quote(name);
        let what = match receiver {
            Item::Nothing if strict => format!("nil data; no entry for key {quoted}"),
            Item::Nothing
            | Item::Absent(Shape::Any | Shape::Map(_), _)
            | Item::Data(Value::Object(_), Shape::Map(_)) => return Ok(Item::Nothing),
            Item::Absent(_, key) if strict => {
                format!("map has no entry for key {}", crate::literal::quote(key))
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

    /// A function with its operands, and behind them the value of the pipeline so far.
    fn function(
        &mut self,
        name: &str,
        at: At<'_>,
        whole: At<'_>,
        operands: &'a [Operand],
        dot: &Item<'a>,
        last: Option<Item<'a>>,
    ) -> Result<Item<'a>, Error> {
        let signature = signature::of(name, self.data.functions);
        let got = operands.len() + usize::from(last.is_some());
        let (least, exact) = (signature.fixed.len(), signature.rest.is_none());
        if got < least || exact && got > least {
            let least_word = if exact { "" } else { "at least " };
            let what = format!("wrong number of args for {name}: want {least_word}{least} got {got}");
            return Err(self.fail(at, &what));
        }
        let decides = match name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        };
        let mut items = Vec::with_capacity(got);
        for (index, operand) in operands.iter().enumerate() {
            let item = self.operand(operand, dot)?;
            self.check(
                signature,
                index,
                &item,
                Some(operand),
                At { position: operand.position, shown: operand },
            )?;
            // `and` and `or` do not look further than they must.
            if decides == Some(item.truth()) {
                return Ok(item);
            }
            items.push(item);
        }
        if let Some(last) = last {
            let at = operands.last().map_or(at, |operand| At { position: operand.position, shown: operand });
            self.check(signature, items.len(), &last, None, at)?;
            items.push(last);
        }
        if decides.is_some() {
            return Ok(items.pop().unwrap_or(Item::Nothing));
        }
        let memory = self.memory();
        let made = functions::call(name, self.data.functions, &Arguments(items), memory)
            .map_err(|why| self.fail(whole, &format!("error calling {name}: {why}")))?;
        if let Item::Made(value) = &made {
            self.pay(functions::weight(value))?;
        }
        Ok(made)
    }

    fn check(
        &self,
        signature: Signature,
        index: usize,
        item: &Item<'a>,
        operand: Option<&Operand>,
        at: At<'_>,
    ) -> Result<(), Error> {
        match signature.fixed.get(index).copied().or(signature.rest) {
            Some(parameter) => check(parameter, item, operand).map_err(|what| self.fail(at, &what)),
            None => Ok(()),
        }
    }
}

/// Where Go reports what is wrong with the fields of `(pipeline).A`.
fn inside<'n>(inner: &'n Operand, otherwise: At<'n>) -> At<'n> {
    let last = if let OperandKind::Pipe(pipe) = &inner.kind { pipe.last_operand() } else { Some(inner) };
    last.map_or(otherwise, |operand| At { position: operand.position, shown: operand })
}

/// A command whose first operand may be a method.
struct Call<'n, 'a> {
    command: &'a Command,
    dot: &'n Item<'a>,
    last: Option<Item<'a>>,
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

/// Whether the parameter takes the argument, in Go's words if not.
fn check(parameter: Parameter, item: &Item<'_>, operand: Option<&Operand>) -> Result<(), String> {
    let (good, wanted) = match parameter {
        Parameter::Any => (true, ""),
        Parameter::Text => (item.text().is_some(), "string"),
        Parameter::Integer => (item.integer().is_some(), "int"),
        Parameter::Texts => {
            let texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
            // A nil list is an empty one.
            let empty = matches!(item, Item::Nothing | Item::Absent(Shape::List(_), _));
            (empty || item.value().and_then(Value::as_array).is_some_and(texts), "[]string")
        }
    };
    if good {
        return Ok(());
    }
    let literal = operand.is_some_and(|operand| {
        matches!(operand.kind, OperandKind::Bool(_) | OperandKind::Number { .. } | OperandKind::Text { .. })
    });
    Err(match (literal, operand, item) {
        (true, Some(operand), _) => {
            let wanted = if wanted == "int" { "integer" } else { wanted };
            format!("expected {wanted}; found {operand}")
        }
        (_, _, Item::Nothing) => format!("invalid value; expected {wanted}"),
        (_, _, Item::Made(value)) => {
            format!("wrong type for value; expected {wanted}; got {}", json_type_name(value))
        }
        _ => format!("wrong type for value; expected {wanted}; got {}", item.type_name()),
    })
}

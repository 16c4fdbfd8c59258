//! Commands and operands: functions and their arguments. See `field.rs` for fields and methods.

use crate::error::{Error, Position};
use crate::execute::{Run, failed};
use crate::field::Call;
use crate::functions::{self, Arguments};
use crate::item::Item;
use crate::literal::Number;
use crate::node::{Command, Operand, OperandKind, Pipe};
use crate::signature::{self, Signature};

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
    pub(crate) fn operand(&mut self, operand: &'a Operand, dot: &Item<'a>) -> Result<Item<'a>, Error> {
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
            Some(parameter) => parameter.check(item, operand).map_err(|what| self.fail(at, &what)),
            None => Ok(()),
        }
    }
}

/// Where Go reports what is wrong with the fields of `(pipeline).A`.
fn inside<'n>(inner: &'n Operand, otherwise: At<'n>) -> At<'n> {
    let last = if let OperandKind::Pipe(pipe) = &inner.kind { pipe.last_operand() } else { Some(inner) };
    last.map_or(otherwise, |operand| At { position: operand.position, shown: operand })
}

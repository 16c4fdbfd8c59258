//! Execution: statements, variables and what they may spend.

use std::borrow::Cow;

use serde_json::Value;

use crate::data::Data;
use crate::error::{Error, Position};
use crate::item::Item;
use crate::limits;
use crate::node::{Branch, Call, Node, Pipe};
use crate::print;
use crate::shape::Shape;
use crate::{Template, literal};

/// Executes a whole template.
pub(crate) fn execute(template: &Template, data: &Data<'_>) -> Result<String, Error> {
    let root = Item::data(data.value, data.shape, "");
    let mut run = Run {
        template,
        data,
        name: Cow::Borrowed(""),
        variables: vec![("$", root.clone())],
        output: String::new(),
        memory: data.limits.memory,
        steps: data.limits.steps,
        calls: 0,
    };
    run.list(&template.body, &root)?;
    Ok(run.output)
}

pub(crate) struct Run<'a> {
    pub(crate) template: &'a Template,
    pub(crate) data: &'a Data<'a>,
    /// Of the template that is executed.
    name: Cow<'a, str>,
    variables: Vec<(&'a str, Item<'a>)>,
    output: String,
    memory: usize,
    steps: usize,
    calls: usize,
}

/// How a list of statements ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Through,
    Break,
    Continue,
}

/// An error, and what it happened at.
pub(crate) fn failed(run: &Run<'_>, position: Position, at: &dyn std::fmt::Display, what: &str) -> Error {
    Error::execute(&run.name, position, &at.to_string(), what)
}

impl<'a> Run<'a> {
    fn list(&mut self, nodes: &'a [Node], dot: &Item<'a>) -> Result<Flow, Error> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => self.write(text).map(|()| Flow::Through)?,
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        let text = print::top(&value);
                        self.write(&text)?;
                    }
                    Flow::Through
                }
                Node::If(branch) => self.condition(branch, dot, false)?,
                Node::With(branch) => self.condition(branch, dot, true)?,
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Call(call) => self.call(call, dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Through {
                return Ok(flow);
            }
        }
        Ok(Flow::Through)
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        if self.output.len() + text.len() > self.data.limits.output {
            let limit = self.data.limits.output;
            return Err(Error::plain(format!("the result is longer than {limit} bytes")));
        }
        self.output.push_str(text);
        Ok(())
    }

    /// Pays for one command or one pass.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| {
            Error::plain(format!("more than {} steps of execution", self.data.limits.steps))
        })?;
        Ok(())
    }

    /// Pays for a value that was made.
    pub(crate) fn pay(&mut self, bytes: usize) -> Result<(), Error> {
        self.memory = self.memory.checked_sub(bytes).ok_or_else(|| {
            Error::plain(format!("its values take more than {} bytes", self.data.limits.memory))
        })?;
        Ok(())
    }

    /// What is left to pay with.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    fn pipe(&mut self, pipe: &'a Pipe, dot: &Item<'a>) -> Result<Item<'a>, Error> {
        let value = self.pipeline(pipe, dot)?;
        if pipe.assigns {
            for name in &pipe.variables {
                if let Some(known) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                    known.1 = value.clone();
                }
            }
        } else {
            self.variables.extend(pipe.variables.iter().map(|name| (name.as_str(), value.clone())));
        }
        Ok(value)
    }

    /// The value of a pipeline in parentheses, its variables included.
    pub(crate) fn inner_pipe(&mut self, pipe: &'a Pipe, dot: &Item<'a>) -> Result<Item<'a>, Error> {
        self.pipe(pipe, dot)
    }

    pub(crate) fn variable(&self, name: &str) -> Item<'a> {
        let found = self.variables.iter().rev().find(|(known, _)| *known == name);
        found.map_or(Item::Nothing, |(_, value)| value.clone())
    }

    fn condition(&mut self, branch: &'a Branch, dot: &Item<'a>, with: bool) -> Result<Flow, Error> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let flow = if value.truth() {
            self.list(&branch.then, if with { &value } else { dot })
        } else {
            self.list(&branch.otherwise, dot)
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, branch: &'a Branch, dot: &Item<'a>) -> Result<Flow, Error> {
        let scope = self.variables.len();
        let pipe = &branch.pipe;
        let over = self.pipeline(pipe, dot)?;
        let passes = passes(&over).ok_or_else(|| {
            let what = format!("range can't iterate over {}", print::top(&over));
            match pipe.last_operand() {
                Some(operand) => failed(self, operand.position, operand, &what),
                None => failed(self, pipe.position, pipe, &what),
            }
        })?;
        let mut empty = true;
        for (key, value) in passes {
            empty = false;
            self.step()?;
            self.bind(pipe, key, &value);
            let flow = self.list(&branch.then, &value)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        let flow = if empty { self.list(&branch.otherwise, dot)? } else { Flow::Through };
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn bind(&mut self, pipe: &'a Pipe, key: Item<'a>, value: &Item<'a>) {
        let values: Vec<Item<'a>> =
            if pipe.variables.len() > 1 { vec![key, value.clone()] } else { vec![value.clone()] };
        for (name, value) in pipe.variables.iter().zip(values) {
            match self.variables.iter_mut().rev().find(|(known, _)| pipe.assigns && known == name) {
                Some(known) => known.1 = value,
                None => self.variables.push((name, value)),
            }
        }
    }

    fn call(&mut self, call: &'a Call, dot: &Item<'a>) -> Result<Flow, Error> {
        let Some(body) = self.template.named.get(&call.name) else {
            let what = format!("template {} not defined", literal::quote(&call.name));
            return Err(failed(self, call.position, call, &what));
        };
        if self.calls == limits::CALLS {
            return Err(failed(self, call.position, call, "exceeded maximum template depth"));
        }
        let dot = match &call.argument {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Item::Nothing,
        };
        self.calls += 1;
        let variables = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let name = std::mem::replace(&mut self.name, Cow::Borrowed(&call.name));
        self.step()?;
        self.list(body, &dot)?;
        self.name = name;
        self.variables = variables;
        self.calls -= 1;
        Ok(Flow::Through)
    }
}

type Passes<'a> = Box<dyn Iterator<Item = (Item<'a>, Item<'a>)> + 'a>;

/// Keys and values of what `range` goes over; `None` for what it cannot.
fn passes<'a>(over: &Item<'a>) -> Option<Passes<'a>> {
    let number = |n: usize| Item::made(n as u64);
    let over = over.clone();
    Some(match (&over, over.value()) {
        (_, Some(Value::Array(list))) => {
            Box::new((0..list.len()).map(move |n| (number(n), over.element(n).unwrap_or(Item::Nothing))))
        }
        (Item::Data(_, Shape::Struct(_)), _) => return None,
        (_, Some(Value::Object(map))) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            Box::new(keys.into_iter().map(move |key| {
                let value = over.member(&key).unwrap_or(Item::Nothing);
                (Item::made(key), value)
            }))
        }
        (_, Some(Value::Number(end))) if !end.is_f64() => {
            let end = usize::try_from(end.as_i64().unwrap_or(i64::MAX)).unwrap_or(0);
            Box::new((0..end).map(move |n| (number(n), number(n))))
        }
        (Item::Nothing | Item::Absent(Shape::List(_) | Shape::Map(_) | Shape::Any, _), _) => {
            Box::new(std::iter::empty())
        }
        _ => return None,
    })
}

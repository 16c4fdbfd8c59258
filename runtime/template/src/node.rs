//! A parsed template. What can be named in an error shows itself as it would be written.

use std::fmt;

use crate::error::Position;
use crate::literal::{self, Number};

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
    Call(Call),
}

/// `{{template "name" pipeline}}`
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) position: Position,
    pub(crate) name: String,
    pub(crate) argument: Option<Pipe>,
}

#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) then: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// `$x := command | command`
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    pub(crate) position: Position,
    pub(crate) variables: Vec<String>,
    /// `=` and not `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand, or a function or method with its arguments. Never empty.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) first: Operand,
    pub(crate) arguments: Vec<Operand>,
}

#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub(crate) position: Position,
    pub(crate) kind: OperandKind,
}

#[derive(Debug, Clone)]
pub(crate) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Number {
        text: String,
        value: Number,
    },
    Text {
        source: String,
        value: String,
    },
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A`; the name has its `$`.
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Box<Pipe>),
    /// `(pipeline).A`
    Chain(Box<Operand>, Vec<String>),
}

impl Pipe {
    /// What Go looked at last when the pipeline has its value, which is where it reports what is wrong with that.
    pub(crate) fn last_operand(&self) -> Option<&Operand> {
        let command = self.commands.last()?;
        let operand = command.arguments.last().unwrap_or(&command.first);
        Some(match &operand.kind {
            OperandKind::Pipe(inner) => inner.last_operand().unwrap_or(operand),
            OperandKind::Chain(inner, _) => match &inner.kind {
                OperandKind::Pipe(inner) => inner.last_operand().unwrap_or(operand),
                _ => inner,
            },
            _ => operand,
        })
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            let separator = if index > 0 { " | " } else { "" };
            write!(f, "{separator}{command}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.first, f)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, names: &[String]| {
            names.iter().try_for_each(|name| write!(f, ".{name}"))
        };
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Bool(value) => write!(f, "{value}"),
            OperandKind::Number { text, .. } => f.write_str(text),
            OperandKind::Text { source, .. } => f.write_str(source),
            OperandKind::Field(names) => fields(f, names),
            OperandKind::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            OperandKind::Function(name) => f.write_str(name),
            OperandKind::Pipe(pipe) => write!(f, "({pipe})"),
            OperandKind::Chain(inner, names) => {
                fmt::Display::fmt(inner, f)?;
                fields(f, names)
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", literal::quote(&self.name))?;
        if let Some(argument) = &self.argument {
            write!(f, " {argument}")?;
        }
        f.write_str("}}")
    }
}

//! What stands in an action: variables, commands and their operands.

use crate::error::Error;
use crate::functions;
use crate::literal::{self, Number};
use crate::node::{Command, Operand, OperandKind, Pipe};
use crate::parser::Parser;
use crate::token::{Kind, Token};

impl Parser<'_> {
    /// A pipeline up to `end`, which is taken too.
    pub(crate) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, Error> {
        self.enter()?;
        self.skip_spaces();
        let position = self.position(self.peek().at);
        let (variables, assigns) = self.declarations(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            self.skip_spaces();
            let token = self.take();
            if token.kind == end {
                break;
            }
            match token.kind {
                Kind::Bool
                | Kind::Rune
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::Raw
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParenthesis => {
                    self.next -= 1;
                    commands.push(self.command()?);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        if commands.is_empty() {
            return Err(self.error(format!("missing value for {context}")));
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            let executable = !matches!(
                command.first.kind,
                OperandKind::Bool(_)
                    | OperandKind::Dot
                    | OperandKind::Nil
                    | OperandKind::Number { .. }
                    | OperandKind::Text { .. }
            );
            if !executable {
                return Err(self.error(format!("non executable command in pipeline stage {}", index + 1)));
            }
        }
        self.leave();
        Ok(Pipe { position, variables, assigns, commands })
    }

    /// `$x :=`, `$x =`, and in `range` `$i, $x :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<String>, bool), Error> {
        let mut declared: Vec<String> = Vec::new();
        loop {
            self.skip_spaces();
            let begin = self.next;
            let variable = self.peek();
            if variable.kind != Kind::Variable {
                return Ok((declared, false));
            }
            self.take();
            self.skip_spaces();
            match self.peek().kind {
                kind @ (Kind::Assign | Kind::Declare) => {
                    self.take();
                    if kind == Kind::Assign {
                        self.known(&variable)?;
                    }
                    self.variables.push(variable.text.clone());
                    declared.push(variable.text);
                    return Ok((declared, kind == Kind::Assign));
                }
                Kind::Character if self.peek().text == "," => {
                    self.take();
                    self.variables.push(variable.text.clone());
                    declared.push(variable.text);
                    if context != "range" || declared.len() > 1 {
                        return Err(self.error(format!("too many declarations in {context}")));
                    }
                    self.skip_spaces();
                    if self.peek().kind != Kind::Variable {
                        return Err(self.error("range can only initialize variables"));
                    }
                }
                _ => {
                    self.next = begin;
                    return Ok((declared, false));
                }
            }
        }
    }

    fn command(&mut self) -> Result<Command, Error> {
        let mut operands = Vec::new();
        loop {
            self.skip_spaces();
            operands.extend(self.operand()?);
            let token = self.take();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelimiter | Kind::RightParenthesis => {
                    self.next -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return Err(self.unexpected(&token, "operand")),
            }
        }
        let mut operands = operands.into_iter();
        let first = operands.next().ok_or_else(|| self.error("empty command"))?;
        Ok(Command { first, arguments: operands.collect() })
    }

    /// A term with the fields behind it.
    fn operand(&mut self) -> Result<Option<Operand>, Error> {
        let Some(term) = self.term()? else { return Ok(None) };
        let position = self.position(self.peek().at);
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(field_name(&self.take()));
        }
        if names.is_empty() {
            return Ok(Some(term));
        }
        let kind = match term.kind {
            OperandKind::Field(mut fields) => {
                fields.extend(names);
                OperandKind::Field(fields)
            }
            OperandKind::Variable(name, mut fields) => {
                fields.extend(names);
                OperandKind::Variable(name, fields)
            }
            OperandKind::Bool(_)
            | OperandKind::Text { .. }
            | OperandKind::Number { .. }
            | OperandKind::Nil
            | OperandKind::Dot => {
                let term = literal::quote(&term.to_string());
                return Err(self.error(format!("unexpected . after term {term}")));
            }
            _ => OperandKind::Chain(Box::new(term), names),
        };
        Ok(Some(Operand { position, kind }))
    }

    fn term(&mut self) -> Result<Option<Operand>, Error> {
        let token = self.take();
        let position = self.position(token.at);
        let invalid = |parser: &Self| parser.error("invalid syntax");
        let kind = match token.kind {
            Kind::Identifier if functions::exists(&token.text) => OperandKind::Function(token.text),
            Kind::Identifier => {
                return Err(self.error(format!("function {} not defined", literal::quote(&token.text))));
            }
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Bool => OperandKind::Bool(token.text == "true"),
            Kind::Variable => {
                self.known(&token)?;
                OperandKind::Variable(token.text, Vec::new())
            }
            Kind::Field => OperandKind::Field(vec![field_name(&token)]),
            Kind::Number => match literal::number(&token.text) {
                Some(value) => OperandKind::Number { text: token.text, value },
                None => {
                    return Err(self.error(format!("bad number syntax: {}", literal::quote(&token.text))));
                }
            },
            Kind::Rune => match literal::character(&token.text) {
                Some(value) => OperandKind::Number { text: token.text, value: Number::Integer(value) },
                None => return Err(self.error(format!("malformed character constant: {}", token.text))),
            },
            Kind::Quoted => {
                let value = literal::unquote(&token.text).ok_or_else(|| invalid(self))?;
                OperandKind::Text { source: token.text, value }
            }
            Kind::Raw => {
                let value = token.text.trim_matches('`').replace('\r', "");
                OperandKind::Text { source: token.text, value }
            }
            Kind::LeftParenthesis => {
                OperandKind::Pipe(Box::new(self.pipeline("parenthesized pipeline", Kind::RightParenthesis)?))
            }
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand { position, kind }))
    }

    fn known(&self, variable: &Token) -> Result<(), Error> {
        if self.variables.contains(&variable.text) {
            return Ok(());
        }
        Err(self.error(format!("undefined variable {}", literal::quote(&variable.text))))
    }
}

fn field_name(token: &Token) -> String {
    token.text.trim_start_matches('.').to_owned()
}

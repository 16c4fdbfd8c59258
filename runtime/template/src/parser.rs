//! The statements of the language: text, actions, blocks. See `pipeline.rs` for what stands in an action.

use std::collections::BTreeMap;

use crate::Template;
use crate::error::{Error, Position};
use crate::lexer;
use crate::limits;
use crate::literal;
use crate::node::{Branch, Call, Node};
use crate::token::{Kind, Token};

/// Parses a whole source.
pub(crate) fn parse(source: &str) -> Result<Template, Error> {
    if source.len() > limits::SOURCE {
        return Err(Error::plain(format!("the template is longer than {} bytes", limits::SOURCE)));
    }
    let mut parser = Parser {
        source,
        tokens: lexer::lex(source),
        next: 0,
        variables: vec!["$".to_owned()],
        loops: 0,
        depth: 0,
        named: BTreeMap::new(),
    };
    let (body, end) = parser.list()?;
    match end {
        Ending::Source => Ok(Template { body, named: parser.named }),
        other => Err(parser.error(format!("unexpected {other}"))),
    }
}

pub(crate) struct Parser<'a> {
    source: &'a str,
    pub(crate) tokens: Vec<Token>,
    pub(crate) next: usize,
    /// Those in scope.
    pub(crate) variables: Vec<String>,
    /// How many `range` we are in.
    loops: usize,
    depth: usize,
    named: BTreeMap<String, Vec<Node>>,
}

/// What ended a list of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    End,
    Else,
    /// `{{else if` or `{{else with`: the keyword comes next.
    ElseThen,
    Source,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ending::End => "{{end}}",
            Ending::Else | Ending::ElseThen => "{{else}}",
            Ending::Source => "EOF",
        })
    }
}

impl Parser<'_> {
    /// An error at the word that was read last.
    pub(crate) fn error(&self, what: impl std::fmt::Display) -> Error {
        let token = self.tokens.get(self.next.saturating_sub(1).min(self.tokens.len() - 1));
        Error::parse(self.position(token.map_or(0, |token| token.at)).line, what)
    }

    pub(crate) fn unexpected(&self, token: &Token, context: &str) -> Error {
        if token.kind == Kind::Error {
            return self.error(token);
        }
        self.error(format!("unexpected {token} in {context}"))
    }

    pub(crate) fn position(&self, at: usize) -> Position {
        let before = self.source.get(..at).unwrap_or_default();
        let line_begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position { line: before.matches('\n').count() + 1, column: at - line_begin }
    }

    /// The next word; the last one again and again.
    pub(crate) fn take(&mut self) -> Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    pub(crate) fn peek(&self) -> Token {
        let last = self.tokens.len() - 1;
        self.tokens[self.next.min(last)].clone()
    }

    pub(crate) fn skip_spaces(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    /// One level deeper; the caller comes back with [`Parser::leave`].
    pub(crate) fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > limits::NESTING {
            return Err(self.error(format!("more than {} levels of nesting", limits::NESTING)));
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Statements up to `end`, `else` or the source's end.
    fn list(&mut self) -> Result<(Vec<Node>, Ending), Error> {
        let mut nodes = Vec::new();
        loop {
            let token = self.take();
            match token.kind {
                Kind::Text => nodes.push(Node::Text(token.text)),
                Kind::End => return Ok((nodes, Ending::Source)),
                Kind::Error => return Err(self.error(token)),
                _ => {
                    self.next -= 1;
                    self.skip_spaces();
                    match self.action()? {
                        Statement::Node(node) => nodes.push(node),
                        Statement::Nothing => {}
                        Statement::Ends(ending) => return Ok((nodes, ending)),
                    }
                }
            }
        }
    }

    fn action(&mut self) -> Result<Statement, Error> {
        let token = self.peek();
        if token.kind != Kind::Keyword {
            let pipe = self.pipeline("command", Kind::RightDelimiter)?;
            return Ok(Statement::Node(Node::Action(pipe)));
        }
        self.take();
        Ok(Statement::Node(match token.text.as_str() {
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "template" => Node::Call(self.call()?),
            "block" => Node::Call(self.block()?),
            "define" => {
                self.define()?;
                return Ok(Statement::Nothing);
            }
            "break" | "continue" => self.jump(&token)?,
            "else" => {
                self.skip_spaces();
                let next = self.peek();
                if next.kind == Kind::Keyword && matches!(next.text.as_str(), "if" | "with") {
                    return Ok(Statement::Ends(Ending::ElseThen));
                }
                self.expect(Kind::RightDelimiter, "else")?;
                return Ok(Statement::Ends(Ending::Else));
            }
            _ => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Statement::Ends(Ending::End));
            }
        }))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token, Error> {
        self.skip_spaces();
        let token = self.take();
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(&token, context)) }
    }

    fn branch(&mut self, context: &str) -> Result<Branch, Error> {
        self.enter()?;
        let scope = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        let looping = usize::from(context == "range");
        self.loops += looping;
        let (then, mut ending) = self.list()?;
        self.loops -= looping;
        let mut otherwise = Vec::new();
        if ending == Ending::ElseThen {
            let next = self.take();
            if next.text != context {
                return Err(self.unexpected(&next, context));
            }
            // A block of its own that shares our `end`.
            let inner = self.branch(context)?;
            otherwise.push(if context == "if" { Node::If(inner) } else { Node::With(inner) });
            ending = Ending::End;
        } else if ending == Ending::Else {
            (otherwise, ending) = self.list()?;
            if matches!(ending, Ending::Else | Ending::ElseThen) {
                return Err(self.error("expected end; found {{else}}"));
            }
        }
        self.variables.truncate(scope);
        self.leave();
        if ending == Ending::Source {
            Err(self.error("unexpected EOF"))
        } else {
            Ok(Branch { pipe, then, otherwise })
        }
    }

    fn jump(&mut self, token: &Token) -> Result<Node, Error> {
        let name = &token.text;
        self.expect(Kind::RightDelimiter, &format!("{{{{{name}}}}}"))?;
        if self.loops == 0 {
            return Err(self.error(format!("{{{{{name}}}}} outside {{{{range}}}}")));
        }
        Ok(if name == "break" { Node::Break } else { Node::Continue })
    }

    fn template_name(&mut self, context: &str) -> Result<(String, Position), Error> {
        self.skip_spaces();
        let token = self.take();
        let name = match token.kind {
            Kind::Quoted => literal::unquote(&token.text),
            Kind::Raw => Some(token.text.trim_matches('`').to_owned()),
            _ => return Err(self.unexpected(&token, context)),
        };
        Ok((name.ok_or_else(|| self.error("invalid syntax"))?, self.position(token.at)))
    }

    fn call(&mut self) -> Result<Call, Error> {
        let (name, position) = self.template_name("template clause")?;
        self.skip_spaces();
        let argument = if self.peek().kind == Kind::RightDelimiter {
            self.take();
            None
        } else {
            Some(self.pipeline("template clause", Kind::RightDelimiter)?)
        };
        Ok(Call { position, name, argument })
    }

    fn block(&mut self) -> Result<Call, Error> {
        let (name, position) = self.template_name("block clause")?;
        let argument = Some(self.pipeline("block clause", Kind::RightDelimiter)?);
        self.named_list(name.clone(), "block clause")?;
        Ok(Call { position, name, argument })
    }

    fn define(&mut self) -> Result<(), Error> {
        if self.depth > 0 {
            return Err(self.error("unexpected {{define}}"));
        }
        let (name, _) = self.template_name("define clause")?;
        self.expect(Kind::RightDelimiter, "define clause")?;
        self.named_list(name, "define clause")
    }

    fn named_list(&mut self, name: String, context: &str) -> Result<(), Error> {
        self.enter()?;
        // A template of its own knows nothing of the variables around it.
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, ending) = self.list()?;
        if ending == Ending::Source {
            return Err(self.error("unexpected EOF"));
        }
        if ending != Ending::End {
            return Err(self.error(format!("unexpected {ending} in {context}")));
        }
        self.variables = variables;
        self.loops = loops;
        self.leave();
        self.named.insert(name, body);
        Ok(())
    }
}

enum Statement {
    Node(Node),
    Nothing,
    Ends(Ending),
}

//! From source to words. An error is a word too, so that the parser reports what comes first.

use crate::token::{KEYWORDS, Kind, Token};

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// All words of the source; the last one is [`Kind::End`] or [`Kind::Error`].
pub(crate) fn lex(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new() };
    if let Err((at, what)) = lexer.run() {
        lexer.tokens.push(Token { kind: Kind::Error, at, text: what });
    }
    lexer.tokens
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

/// Where, and what is wrong.
type Failure = (usize, String);

impl<'a> Lexer<'a> {
    fn run(&mut self) -> Result<(), Failure> {
        let mut trim_left = false;
        loop {
            let rest = self.rest();
            let (text, action) = rest.find(LEFT).map_or((rest, false), |found| (&rest[..found], true));
            let begin = self.at;
            self.at += text.len();
            let trim_right = action && self.has_left_trim();
            let mut shown = text;
            let mut shift = 0;
            if trim_left {
                let trimmed = shown.trim_start_matches(SPACES);
                shift = shown.len() - trimmed.len();
                shown = trimmed;
            }
            if trim_right {
                shown = shown.trim_end_matches(SPACES);
            }
            if !shown.is_empty() {
                self.tokens.push(Token { kind: Kind::Text, at: begin + shift, text: shown.to_owned() });
            }
            if !action {
                self.push(Kind::End, self.at, self.at);
                return Ok(());
            }
            self.at += LEFT.len() + usize::from(trim_right);
            trim_left = self.action(trim_right)?;
        }
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// `{{- ` at the current place.
    fn has_left_trim(&self) -> bool {
        self.rest().strip_prefix("{{-").is_some_and(|rest| rest.starts_with(SPACES))
    }

    fn push(&mut self, kind: Kind, from: usize, to: usize) {
        let text = self.source.get(from..to).unwrap_or_default().to_owned();
        self.tokens.push(Token { kind, at: from, text });
    }

    /// The inside of an action up to its end; whether the text behind it loses its spaces.
    fn action(&mut self, trimmed: bool) -> Result<bool, Failure> {
        if trimmed {
            let spaces = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
            if self.rest().trim_start_matches(SPACES).starts_with("/*") {
                self.at += spaces;
            }
        }
        if self.rest().starts_with("/*") {
            return self.comment();
        }
        let mut parentheses = 0usize;
        loop {
            let (at, rest) = (self.at, self.rest());
            let spaces = rest.len() - rest.trim_start_matches(SPACES).len();
            let right_trim = spaces > 0 && rest[spaces..].starts_with("-}}");
            if right_trim || rest.starts_with(RIGHT) {
                if parentheses > 0 {
                    return Err((at, "unclosed left paren".to_owned()));
                }
                self.at += if right_trim { spaces + 1 } else { 0 };
                self.push(Kind::RightDelimiter, self.at, self.at + RIGHT.len());
                self.at += RIGHT.len();
                return Ok(right_trim);
            }
            let Some(first) = rest.chars().next() else {
                return Err((at, "unclosed action".to_owned()));
            };
            if spaces > 0 {
                self.at += spaces;
                self.push(Kind::Space, at, self.at);
                continue;
            }
            match first {
                '(' => {
                    parentheses += 1;
                    self.single(Kind::LeftParenthesis);
                }
                ')' if parentheses == 0 => return Err((at, "unexpected right paren".to_owned())),
                ')' => {
                    parentheses -= 1;
                    self.single(Kind::RightParenthesis);
                }
                '|' => self.single(Kind::Pipe),
                '=' => self.single(Kind::Assign),
                ':' if rest.starts_with(":=") => {
                    self.at += 2;
                    self.push(Kind::Declare, at, self.at);
                }
                ':' => return Err((at, "expected :=".to_owned())),
                '"' => self.quoted()?,
                '`' => {
                    let end = rest[1..].find('`').ok_or((at, "unterminated raw quoted string".to_owned()))?;
                    self.at += end + 2;
                    self.push(Kind::Raw, at, self.at);
                }
                '\'' => self.character()?,
                '$' => self.name(Kind::Variable, 1)?,
                '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    self.name(Kind::Field, 1)?;
                }
                '.' | '+' | '-' | '0'..='9' => self.number(),
                c if is_word(c) => self.identifier()?,
                c if c.is_ascii_graphic() => self.single(Kind::Character),
                c => return Err((at, format!("unrecognized character in action: {}", code_point(c)))),
            }
        }
    }

    fn single(&mut self, kind: Kind) {
        let at = self.at;
        self.at += 1;
        self.push(kind, at, self.at);
    }

    fn comment(&mut self) -> Result<bool, Failure> {
        let at = self.at;
        let end = self.rest().find("*/").ok_or((at, "unclosed comment".to_owned()))?;
        self.at += end + 2;
        let rest = self.rest();
        let spaces = rest.len() - rest.trim_start_matches(SPACES).len();
        let trims = spaces > 0 && rest[spaces..].starts_with("-}}");
        if trims {
            self.at += spaces + 1;
        } else if !rest.starts_with(RIGHT) {
            return Err((at, "comment ends before closing delimiter".to_owned()));
        }
        self.at += RIGHT.len();
        Ok(trims)
    }

    fn quoted(&mut self) -> Result<(), Failure> {
        let at = self.at;
        let end = closing(&self.rest()[1..], '"').ok_or((at, "unterminated quoted string".to_owned()))?;
        self.at += end + 2;
        self.push(Kind::Quoted, at, self.at);
        Ok(())
    }

    fn character(&mut self) -> Result<(), Failure> {
        let at = self.at;
        let end =
            closing(&self.rest()[1..], '\'').ok_or((at, "unterminated character constant".to_owned()))?;
        self.at += end + 2;
        self.push(Kind::Rune, at, self.at);
        Ok(())
    }

    /// A word of letters and digits behind `skip` bytes.
    fn name(&mut self, kind: Kind, skip: usize) -> Result<(), Failure> {
        let at = self.at;
        self.at += skip + word_length(&self.rest()[skip..]);
        self.terminated()?;
        let alone = kind == Kind::Field && self.at == at + skip;
        self.push(if alone { Kind::Dot } else { kind }, at, self.at);
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), Failure> {
        let at = self.at;
        self.at += word_length(self.rest());
        self.terminated()?;
        let kind = match &self.source[at..self.at] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.push(kind, at, self.at);
        Ok(())
    }

    /// A word must not run into something else.
    fn terminated(&self) -> Result<(), Failure> {
        let rest = self.rest();
        match rest.chars().next() {
            Some(c) if !(SPACES.contains(&c) || ".,|:)(".contains(c) || rest.starts_with(RIGHT)) => {
                Err((self.at, format!("bad character {}", code_point(c))))
            }
            _ => Ok(()),
        }
    }

    fn number(&mut self) {
        let at = self.at;
        let rest = self.rest();
        let signed = rest.len() - rest.trim_start_matches(['+', '-']).len();
        let signed = signed.min(1);
        let mut previous = ' ';
        let hexadecimal = rest[signed..].starts_with("0x") || rest[signed..].starts_with("0X");
        let length = rest[signed..]
            .find(|c: char| {
                let exponent = if hexadecimal { "pP" } else { "eE" };
                let inside = is_word(c) || c == '.' || "+-".contains(c) && exponent.contains(previous);
                previous = c;
                !inside
            })
            .unwrap_or(rest.len() - signed);
        self.at += signed + length;
        self.push(Kind::Number, at, self.at);
    }
}

/// Where the quote ends, counted from behind its beginning.
fn closing(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// Go's `%#U`.
fn code_point(c: char) -> String {
    let code = format!("U+{:04X}", c as u32);
    if c.is_control() { code } else { format!("{code} '{c}'") }
}

//! The words of the language.

/// What a word is; texts are as in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What stands between actions.
    Text,
    /// `}}`
    RightDelimiter,
    Space,
    /// `.Name`
    Field,
    /// `$name`, `$`
    Variable,
    Identifier,
    Keyword,
    Dot,
    Nil,
    Bool,
    Number,
    /// `'x'`
    Rune,
    /// `"…"`
    Quoted,
    /// `` `…` ``
    Raw,
    /// `|`
    Pipe,
    LeftParenthesis,
    RightParenthesis,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    /// A comma, or a character that is no word of the language.
    Character,
    /// The text is what is wrong.
    Error,
    End,
}

/// A word and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) text: String,
}

impl std::fmt::Display for Token {
    /// As Go shows it in `unexpected …`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::End => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            Kind::Keyword => write!(f, "<{}>", self.text),
            _ => {
                let short: String = self.text.chars().take(10).collect();
                let more = if short.len() < self.text.len() { "..." } else { "" };
                write!(f, "{}{more}", crate::literal::quote(&short))
            }
        }
    }
}

pub(crate) const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

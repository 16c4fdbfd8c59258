//! What is wrong with a template, in Go's words.

/// An error of parsing or execution: `template: :1:2: executing "" at <.X>: can't evaluate field X in type T`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: String,
}

impl Error {
    pub(crate) fn parse(line: usize, what: impl std::fmt::Display) -> Error {
        Error { text: format!("template: :{line}: {what}") }
    }

    /// `name` is the template's, empty for the one that was given.
    pub(crate) fn execute(name: &str, position: Position, at: &str, what: impl std::fmt::Display) -> Error {
        let Position { line, column } = position;
        Error { text: format!("template: :{line}:{column}: executing {name:?} at <{at}>: {what}") }
    }

    pub(crate) fn plain(what: impl std::fmt::Display) -> Error {
        Error { text: format!("template: {what}") }
    }
}

/// Where something stands in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// From 1.
    pub(crate) line: usize,
    /// Bytes from the line's beginning, from 0, as Go counts.
    pub(crate) column: usize,
}

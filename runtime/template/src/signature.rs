//! What each function takes.

use crate::data::Functions;

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    Any,
    Text,
    Integer,
    Texts,
}

/// The parameters of a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature {
    pub(crate) fixed: &'static [Parameter],
    /// Any number of these behind the fixed ones.
    pub(crate) rest: Option<Parameter>,
    /// How many of the rest there must be.
    pub(crate) at_least: usize,
}

use Parameter::{Any, Integer, Text, Texts};

const fn fixed(parameters: &'static [Parameter]) -> Signature {
    Signature { fixed: parameters, rest: None, at_least: 0 }
}

const fn open(parameters: &'static [Parameter], at_least: usize) -> Signature {
    Signature { fixed: parameters, rest: Some(Any), at_least }
}

/// All functions.
const SIGNATURES: [(&str, Signature); 26] = [
    ("and", open(&[Any], 0)),
    ("or", open(&[Any], 0)),
    ("not", fixed(&[Any])),
    ("len", fixed(&[Any])),
    ("index", open(&[Any], 0)),
    ("slice", open(&[Any], 0)),
    ("print", open(&[], 0)),
    ("printf", open(&[Text], 0)),
    ("println", open(&[], 0)),
    ("html", open(&[], 0)),
    ("js", open(&[], 0)),
    ("urlquery", open(&[], 0)),
    ("eq", open(&[Any], 1)),
    ("ne", fixed(&[Any, Any])),
    ("lt", fixed(&[Any, Any])),
    ("le", fixed(&[Any, Any])),
    ("gt", fixed(&[Any, Any])),
    ("ge", fixed(&[Any, Any])),
    ("json", fixed(&[Any])),
    ("split", fixed(&[Text, Text])),
    ("join", fixed(&[Texts, Text])),
    ("title", fixed(&[Text])),
    ("lower", fixed(&[Text])),
    ("upper", fixed(&[Text])),
    ("pad", fixed(&[Text, Integer, Integer])),
    ("truncate", fixed(&[Text, Integer])),
];

pub(crate) fn exists(name: &str) -> bool {
    SIGNATURES.iter().any(|(known, _)| *known == name)
}

/// The parameters of a function that [`exists`].
pub(crate) fn of(name: &str, functions: Functions) -> Signature {
    if functions == Functions::Header && name == "join" {
        return fixed(&[Text, Text]);
    }
    SIGNATURES.iter().find(|(known, _)| *known == name).map_or(open(&[], 0), |(_, signature)| *signature)
}

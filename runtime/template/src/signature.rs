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
}

use Parameter::{Any, Integer, Text, Texts};

const fn fixed(parameters: &'static [Parameter]) -> Signature {
    Signature { fixed: parameters, rest: None }
}

const fn open(parameters: &'static [Parameter]) -> Signature {
    Signature { fixed: parameters, rest: Some(Any) }
}

/// All functions.
const SIGNATURES: [(&str, Signature); 26] = [
    ("and", open(&[Any])),
    ("or", open(&[Any])),
    ("not", fixed(&[Any])),
    ("len", fixed(&[Any])),
    ("index", open(&[Any])),
    ("slice", open(&[Any])),
    ("print", open(&[])),
    ("printf", open(&[Text])),
    ("println", open(&[])),
    ("html", open(&[])),
    ("js", open(&[])),
    ("urlquery", open(&[])),
    ("eq", open(&[Any])),
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
    SIGNATURES.iter().find(|(known, _)| *known == name).map_or(open(&[]), |(_, signature)| *signature)
}

//! What each function takes.

use serde_json::Value;

use crate::data::Functions;
use crate::item::{Item, json_type_name};
use crate::node::{Operand, OperandKind};
use crate::shape::Shape;

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    Any,
    Text,
    Integer,
    Texts,
}

impl Parameter {
    /// Whether the parameter takes the argument, in Go's words if not.
    pub(crate) fn check(self, item: &Item<'_>, operand: Option<&Operand>) -> Result<(), String> {
        let (good, wanted) = match self {
            Parameter::Any => (true, ""),
            Parameter::Text => (item.text().is_some(), "string"),
            Parameter::Integer => (item.integer().is_some(), "int"),
            Parameter::Texts => {
                let texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
                // A nil list is an empty one.
                let empty = matches!(item, Item::Nothing | Item::Absent(Shape::List(_), _));
                (empty || item.value().and_then(Value::as_array).is_some_and(texts), "[]string")
            }
        };
        if good {
            return Ok(());
        }
        let literal = operand.is_some_and(|operand| {
            matches!(
                operand.kind,
                OperandKind::Bool(_) | OperandKind::Number { .. } | OperandKind::Text { .. }
            )
        });
        Err(match (literal, operand, item) {
            (true, Some(operand), _) => {
                let wanted = if wanted == "int" { "integer" } else { wanted };
                format!("expected {wanted}; found {operand}")
            }
            (_, _, Item::Nothing) => format!("invalid value; expected {wanted}"),
            (_, _, Item::Made(value)) => {
                format!("wrong type for value; expected {wanted}; got {}", json_type_name(value))
            }
            _ => format!("wrong type for value; expected {wanted}; got {}", item.type_name()),
        })
    }
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

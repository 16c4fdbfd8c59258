//! What a template is executed on.

use serde_json::Value;

use crate::limits::Limits;
use crate::shape::{Missing, Shape};

/// Fields of the outermost value that take arguments, such as `{{.Label "key"}}`.
pub trait Methods {
    /// The result of the method, or why it failed; `None` if there is no such method.
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>>;
}

/// No method at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMethods;

impl Methods for NoMethods {
    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

/// What the functions of texts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Functions {
    /// What their names say.
    #[default]
    Values,
    /// Docker's for the header of a table: `json`, `split`, `join` and `truncate` leave the column's name as it is.
    Header,
}

/// A value with what is known about it.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    pub value: &'a Value,
    pub shape: &'a Shape,
    pub missing: Missing,
    pub methods: &'a dyn Methods,
    pub functions: Functions,
    pub limits: Limits,
}

impl<'a> Data<'a> {
    /// A value of which nothing is known.
    pub fn new(value: &'a Value) -> Data<'a> {
        Data {
            value,
            shape: &Shape::Any,
            missing: Missing::default(),
            methods: &NoMethods,
            functions: Functions::default(),
            limits: Limits::default(),
        }
    }
}

impl std::fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").field("value", self.value).field("shape", self.shape).finish_non_exhaustive()
    }
}

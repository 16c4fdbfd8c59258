//! The types of a JSON value, as far as a template can see them.
//!
//! Go answers a missing member by its type: a map has none (`<no value>`), a nil pointer is false in a condition, a
//! field that no struct has is an error. A shape says which of these a place in the value is.

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Whatever JSON says: Go's `any`. A null prints as `<no value>`.
    Any,
    Text,
    Number,
    Flag,
    List(&'static Shape),
    /// Members are data; one that is missing is no mistake.
    Map(&'static Shape),
    /// A pointer to a struct: members are fields; null is a nil pointer.
    Struct(&'static Struct),
}

/// A type with fields. Members of the JSON that it does not list are fields of shape [`Shape::Any`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Struct {
    /// Go's name of the type, for errors.
    pub name: &'static str,
    /// The fields that may be missing from the JSON, that have a shape, or another name in templates.
    pub fields: &'static [Field],
}

/// A field of a [`Struct`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// As templates write it, besides `key`.
    pub name: &'static str,
    /// As JSON writes it.
    pub key: &'static str,
    pub shape: Shape,
}

impl Field {
    /// A field of one name.
    pub const fn new(name: &'static str, shape: Shape) -> Field {
        Field { name, key: name, shape }
    }
}

/// What a name means that neither the value nor its shape knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// Go's default: `<no value>` in a map, `can't evaluate field X in type T` in a struct.
    #[default]
    NoValue,
    /// As Docker's `inspect` has it: `map has no entry for key "X"`.
    Error,
}

impl Struct {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name || field.key == name)
    }
}

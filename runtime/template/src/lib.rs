//! Go's text/template on JSON values: what `--format` takes, with Docker's functions and error texts.
//!
//! A template is parsed once ([`Template::parse`]) and executed on any number of values ([`Template::execute`]). JSON knows no
//! types, but what Go does with a missing or null member depends on its type, so the caller may describe the value with a
//! [`Shape`]. All of the language is there but complex numbers; what a template may spend is bounded by [`Limits`].

mod data;
mod error;
mod escape;
mod execute;
mod field;
mod functions;
mod item;
mod lexer;
mod limits;
mod literal;
mod node;
mod operand;
mod parser;
mod pipeline;
mod print;
mod shape;
mod signature;
mod token;

pub use data::{Data, Functions, Methods, NoMethods};
pub use error::Error;
pub use limits::Limits;
pub use literal::quote;
pub use shape::{Field, Missing, Shape, Struct};

use std::collections::BTreeMap;

use node::Node;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    body: Vec<Node>,
    /// What `define` and `block` named.
    named: BTreeMap<String, Vec<Node>>,
}

impl Template {
    /// Parses `text`; the error has Go's words.
    pub fn parse(text: &str) -> Result<Template, Error> {
        parser::parse(text)
    }

    /// The text that the template makes of `data`.
    pub fn execute(&self, data: &Data<'_>) -> Result<String, Error> {
        execute::execute(self, data)
    }
}

//! The engine: containers and their state, from a request to a running supervisor. See ARCHITECTURE.md.

mod error;
pub mod id;
pub mod name;
pub mod parse;

pub use error::{Error, Result};

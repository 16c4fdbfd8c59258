//! The commands about images against a registry of this process.
#![expect(clippy::unwrap_used, reason = "tests")]

mod interrupted;
mod local;
mod place;
mod registry;
mod remote;

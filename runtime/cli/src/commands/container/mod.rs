//! The commands about containers.

pub(super) mod attach;
pub(super) mod commit;
pub(super) mod cp;
pub(super) mod create;
pub(super) mod diff;
pub(super) mod exec;
pub(super) mod export;
pub(super) mod inspect;
pub(super) mod kill;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod pause;
pub(super) mod port;
pub(super) mod prune;
pub(super) mod remove;
pub(super) mod rename;
pub(super) mod run;
pub(super) mod start;
pub(super) mod stats;
pub(super) mod stop;
pub(super) mod top;
pub(super) mod update;
pub(super) mod wait;

use sandbox_engine::state::containers::Container;
use sandbox_engine::{Engine, Error};

use crate::failure::Failure;
use crate::flags::Global;
use crate::format;

/// Does one thing to each container that was named, and shows each name with which it was done; the others' errors come at
/// the end.
fn each(
    global: &Global,
    names: &[String],
    mut act: impl FnMut(&mut Engine, &Container, &str) -> Result<(), Error>,
) -> Result<u8, Failure> {
    let mut engine = super::engine(global)?;
    let mut failures = Vec::new();
    for name in names {
        let done = engine.find(name).and_then(|container| act(&mut engine, &container, name));
        match done {
            Ok(()) => format::print_line(name)?,
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    Failure::all(failures)
}

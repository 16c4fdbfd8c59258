//! `sandbox rm`.

use sandbox_engine::Error;

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::RmFlags;
use crate::format;

pub(in crate::commands) fn run(global: &Global, flags: &RmFlags) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    let mut failures = Vec::new();
    for name in &flags.containers {
        let removed = engine
            .find(name)
            .and_then(|container| engine.remove(&container, name, flags.force, flags.volumes));
        match removed {
            Ok(()) => format::print_line(name)?,
            // What is not there need not be removed, but is told.
            Err(error @ Error::NoSuchContainer(_)) if flags.force => {
                eprintln!("{}", Failure::from(error).text());
            }
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    Failure::all(failures)
}

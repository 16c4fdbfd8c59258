//! `sandbox system boot`.

use sandbox_engine::Manner;

use crate::commands::container::start::launch;
use crate::failure::Failure;
use crate::flags::Global;
use crate::format;

/// Starts what should run, tells which, and goes on after one that does not start.
pub(in crate::commands) fn run(global: &Global) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    let mut failures = Vec::new();
    for container in engine.to_boot()? {
        let started = match engine.take(&container) {
            Ok(Some(made)) => launch(&engine, made, Manner::default()),
            // Somebody else was faster.
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        match started {
            Ok(Ok(())) => format::print_line(&container.name)?,
            Ok(Err((message, _))) => {
                failures.push(Failure::engine(format!("start {}: {message}", container.name)));
            }
            Err(error) => failures.push(Failure::engine(format!("start {}: {error}", container.name))),
        }
    }
    Failure::all(failures)
}

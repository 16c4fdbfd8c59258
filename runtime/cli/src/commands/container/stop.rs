//! `sandbox stop` and `sandbox restart`.

use sandbox_engine::state::containers::Container;
use sandbox_engine::{Engine, Error, Manner, Stop};

use super::each;
use super::start::launch;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::StopFlags;

pub(in crate::commands) fn stop(global: &Global, flags: &StopFlags) -> Result<u8, Failure> {
    let how = Stop { signal: flags.signal, timeout_s: flags.timeout, keep: false };
    each(global, &flags.containers, |engine, container, _| engine.stop(container, how))
}

pub(in crate::commands) fn restart(global: &Global, flags: &StopFlags) -> Result<u8, Failure> {
    let how = Stop { signal: flags.signal, timeout_s: flags.timeout, keep: true };
    each(global, &flags.containers, |engine, container, name| again(engine, container, name, how))
}

/// Stops a container, if it runs, and starts it.
fn again(engine: &Engine, container: &Container, name: &str, how: Stop) -> Result<(), Error> {
    engine.stop(container, how)?;
    let failed = |why: String| Error::invalid(format!("Cannot restart container {name}: {why}"));
    match engine.take(container)? {
        // Somebody else was faster.
        None => Ok(()),
        Some(made) => {
            launch(engine, made, Manner::default())?.map_err(|(message, _)| failed(message))?;
            engine.restarted(container);
            Ok(())
        }
    }
}

//! `sandbox wait`.

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::NamesFlags;
use crate::format;

pub(in crate::commands) fn run(global: &Global, flags: &NamesFlags) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    let mut failures = Vec::new();
    for name in &flags.containers {
        match engine.find(name).and_then(|container| engine.wait_exited(&container)) {
            Ok(code) => format::print_line(&code.to_string())?,
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    Failure::all(failures)
}

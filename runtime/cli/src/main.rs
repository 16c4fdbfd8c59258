//! The `sandbox` command: parses what Docker's users type, hands it to the engine, and is the
//! terminal's end of a running container. It knows nothing of images, namespaces or VMs itself.

mod bench;
mod commands;
mod failure;
mod flags;
mod format;
mod interrupt;
mod progress;
mod relay;
mod timings;
mod usage;

use std::process::ExitCode;

fn main() -> ExitCode {
    let started_ns = sandbox_engine::monotonic_ns();
    relay::terminal::restore_on_panic();
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let result = match flags::parse(&arguments) {
        Ok(cli) => commands::dispatch(cli, started_ns),
        Err(usage) => return usage.print(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.print(),
    }
}

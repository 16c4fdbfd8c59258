//! `sandbox-shim --plan PATH`: see [`sandbox_shim::program`].

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(plan), None) if flag == "--plan" => {
            sandbox_shim::program::run(Path::new(&plan)).into()
        }
        _ => {
            eprintln!(
                "usage: sandbox-shim --plan PATH\nStarted by the engine; descriptor 3 is its connection."
            );
            ExitCode::from(2)
        }
    }
}

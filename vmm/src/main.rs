//! `sandbox-vmm`: one virtual machine per process, described by the owner on fd 3.
//!
//! `sandbox-vmm --config FILE` runs the machine that a JSON file describes, without an owner: for people.

use std::process::ExitCode;

use sandbox_vmm::control::{Event, ExitReason};
use sandbox_vmm::monitor::{self, Owner};
use sandbox_vmm::{jail, seccomp};

const USAGE: &str = "usage: sandbox-vmm               take the machine's description from the socket at fd 3
       sandbox-vmm --config FILE  run the machine that a JSON file describes
       sandbox-vmm --version";

fn main() -> ExitCode {
    let parent = rustix::process::getppid();
    jail::share_heap();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            if let Err(error) = jail::close_inherited_files().and_then(|()| jail::die_with_parent(parent)) {
                return fail(&error.to_string());
            }
            owned()
        }
        [flag, file] if flag == "--config" => standalone(file.as_ref()),
        [flag] if flag == "--version" => {
            println!("sandbox-vmm {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => fail(USAGE),
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("sandbox-vmm: {text}");
    ExitCode::FAILURE
}

/// The normal way: an owner at fd 3 describes the machine and is told what happens to it.
fn owned() -> ExitCode {
    // SAFETY: main has opened nothing yet.
    let owner = match unsafe { Owner::inherited() } {
        Ok(owner) => owner,
        Err(error) => return fail(&format!("fd 3 is not a control socket: {error}\n{USAGE}")),
    };
    seccomp::report_to_owner();
    monitor::report_panics();
    let outcome = owner.receive_config().map_err(|e| format!("cannot read the configuration: {e}")).and_then(
        |config| {
            let mut machine = monitor::build(&config).map_err(|e| e.to_string())?;
            let (reason, console_tail) =
                monitor::run(&config, &mut machine, Some(&owner)).map_err(|e| e.to_string())?;
            owner.send(&Event::Exited { reason, console_tail });
            // The kernel takes memory and devices back faster than we can, and the owner has its answer.
            std::process::exit(0)
        },
    );
    match outcome {
        Ok(never) => never,
        Err(error) => {
            owner.send(&Event::Failed { error: error.clone() });
            fail(&error)
        }
    }
}

/// For people: no owner, no deadline.
fn standalone(file: &std::path::Path) -> ExitCode {
    let outcome = std::fs::read(file)
        .map_err(|e| format!("cannot read {}: {e}", file.display()))
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", file.display())))
        .and_then(|config| {
            let mut machine = monitor::build(&config).map_err(|e| e.to_string())?;
            monitor::run(&config, &mut machine, None).map_err(|e| e.to_string())
        });
    match outcome {
        Ok((ExitReason::Reset | ExitReason::Shutdown | ExitReason::Halt | ExitReason::Stopped, _)) => {
            ExitCode::SUCCESS
        }
        Ok((reason, tail)) => fail(&format!("{reason:?}\n{tail}")),
        Err(error) => fail(&error),
    }
}

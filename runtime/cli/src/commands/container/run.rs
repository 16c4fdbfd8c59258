//! `sandbox run`.

use sandbox_engine::{Engine, Manner, Outcome, Size};
use sandbox_shim::wire::Exit;

use super::create;
use super::start::launch;
use crate::failure::{ENGINE, Failure};
use crate::flags::Global;
use crate::flags::run::RunFlags;
use crate::format;
use crate::relay::{self, signals::Signals, terminal};
use crate::timings::Timings;

/// The process of a container that cannot have its terminal.
pub(super) const NO_TERMINAL: &str =
    "cannot attach stdin to a TTY-enabled container because stdin is not a terminal";

pub(in crate::commands) fn run(global: &Global, flags: &RunFlags, started_ns: u64) -> Result<u8, Failure> {
    let mut timings = Timings::new(started_ns);
    let create = &flags.create;
    let settings = global.settings().map_err(Failure::run)?;
    let request = create.request(!flags.detach, &settings)?;
    let streams = create.attached();
    if !flags.detach && create.tty && streams.stdin && !terminal::is_stdin_terminal() {
        // As Docker: an error of the command itself, before the engine is asked.
        return Err(Failure::plain(NO_TERMINAL));
    }
    if flags.detach && !create.attach.is_empty() {
        return Err(Failure::run("Conflicting options: -a and -d"));
    }
    if flags.detach && create.boot_log {
        return Err(Failure::run(
            "--boot-log: nobody would see the guest's console with -d; leave one of them out",
        ));
    }
    let mut engine = crate::commands::engine_of(&settings).map_err(Failure::run)?;
    create::warn(create);
    let id_file = create::IdFile::claim(create.cidfile.as_deref())?;
    let image = create::image(global, &engine, create, &request.image)?;
    timings.mark("image_resolved");

    // From here on a signal is the container's, not ours: nothing is left half made by a Ctrl-C.
    let signals = Signals::catch().map_err(|e| Failure::run(format!("catch signals: {e}")))?;
    create::replace(&engine, create)?;
    let made = engine.create(&request, &image).map_err(Failure::run)?;
    timings.mark("created");
    let id = made.id().to_owned();
    id_file.fill(&id)?;
    if flags.detach {
        let manner = Manner::default();
        return match launch(&engine, made, manner).map_err(Failure::run)? {
            Ok(()) => format::print_line(&id).map(|()| 0),
            Err((message, code)) => Err(Failure::run(message).code(code)),
        };
    }
    let size = if create.tty { terminal::size().unwrap_or_default() } else { Size::default() };
    let raw = if create.tty && streams.stdin {
        terminal::Raw::enter().map_err(|e| Failure::run(format!("make the terminal raw: {e}")))
    } else {
        Ok(None)
    };
    let manner = Manner { tied: true, stdin: true, size };
    let (running, connection) = engine.start(made, manner).map_err(Failure::run)?;
    timings.mark("supervisor_spawned");

    let options = relay::Options {
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        tty: create.tty,
        sig_proxy: flags.sig_proxy,
        tied: true,
        detach_keys: (create.tty && streams.stdin).then(|| flags.detach_keys.clone().unwrap_or_default()),
    };
    let relayed = raw.and_then(|raw| {
        let relayed = relay::run(connection, &signals, options);
        drop(raw);
        relayed.map_err(|e| Failure::run(format!("relay the container's streams: {e}")))
    });
    if let Ok(relayed) = &relayed {
        if relayed.detached {
            return Ok(0);
        }
        if let (true, Outcome::Exited(exit)) = (relayed.goes_on, &relayed.outcome) {
            return Ok(exit.code);
        }
    }
    // An error of the relay closed the connection, which ends the container; it is finished all the same.
    let outcome = relayed.as_ref().map_or(Outcome::Lost, |relayed| relayed.outcome.clone());
    let exit = finish(&engine, running, outcome.clone());
    let relayed = relayed?;
    timings.mark("cli_end");

    if let Some(path) = &flags.timings {
        timings.add(&relayed.stamps);
        timings.first_output(relayed.first_output_ns);
        timings.write(path, request.isolation).map_err(Failure::run)?;
    }
    if let Some(signal) = relayed.ended_by {
        return Ok(128 + signal as u8);
    }
    verdict(&outcome, exit)
}

/// Writes down the end of a container whose supervisor is about to end.
pub(super) fn finish(engine: &Engine, running: sandbox_engine::Running, outcome: Outcome) -> Exit {
    let (exit, released) = engine.finish(running, outcome);
    if let Err(problem) = released {
        eprintln!("WARNING: cannot clean up after the container, the next command tries again: {problem}");
    }
    exit
}

/// The exit code, or why the container did not run.
pub(super) fn verdict(outcome: &Outcome, exit: Exit) -> Result<u8, Failure> {
    match outcome {
        Outcome::Exited(_) => {
            if let Some(error) = &exit.error {
                eprintln!("sandbox: {error}");
            }
            Ok(exit.code)
        }
        Outcome::StartFailed { message, exit_code } => Err(Failure::run(message).code(*exit_code)),
        Outcome::Lost => {
            let error = exit.error.unwrap_or_else(|| "the connection to the supervisor was lost".to_owned());
            Err(Failure::run(error).code(ENGINE))
        }
    }
}

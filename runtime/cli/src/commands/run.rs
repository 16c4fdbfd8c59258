//! `sandbox run`.

use sandbox_engine::image::Defaults;
use sandbox_engine::{Engine, Error, Outcome, Size};
use sandbox_image::{Digest, Reference};
use sandbox_shim::wire::Exit;

use crate::commands::image::pull::Puller;
use crate::failure::{ENGINE, Failure};
use crate::flags::Global;
use crate::flags::run::RunFlags;
use crate::flags::value::Pull;
use crate::progress::Stream;
use crate::relay::{self, signals::Signals, terminal};
use crate::timings::Timings;

/// The process of a container that cannot have its terminal.
const NO_TERMINAL: &str = "cannot attach stdin to a TTY-enabled container because stdin is not a terminal";

pub(super) fn run(global: &Global, flags: &RunFlags, started_ns: u64) -> Result<u8, Failure> {
    let mut timings = Timings::new(started_ns);
    let request = flags.request()?;
    if flags.tty && flags.interactive && !terminal::is_stdin_terminal() {
        // As Docker: an error of the command itself, before the engine is asked.
        return Err(Failure::plain(NO_TERMINAL));
    }
    let mut engine = super::engine(global).map_err(Failure::run)?;
    let image = image(global, &engine, flags, &request.image)?;
    timings.mark("image_resolved");

    // From here on a signal is the container's, not ours: nothing is left half made by a Ctrl-C.
    let signals = Signals::catch().map_err(|e| Failure::run(format!("catch signals: {e}")))?;
    let size = if flags.tty { terminal::size().unwrap_or_default() } else { Size::default() };
    let created = engine.create(&request, &image, size).map_err(Failure::run)?;
    timings.mark("created");
    let raw = if flags.tty && flags.interactive {
        terminal::Raw::enter().map_err(|e| Failure::run(format!("make the terminal raw: {e}")))
    } else {
        Ok(None)
    };
    let (running, connection) = engine.start(created).map_err(Failure::run)?;
    timings.mark("supervisor_spawned");

    let options = relay::Options { stdin: flags.interactive, tty: flags.tty, sig_proxy: flags.sig_proxy };
    let relayed = raw.and_then(|raw| {
        let relayed = relay::run(connection, &signals, options);
        drop(raw);
        relayed.map_err(|e| Failure::run(format!("relay the container's streams: {e}")))
    });
    // An error of the relay closed the connection, which ends the container; it is finished all the same.
    let outcome = relayed.as_ref().map_or(Outcome::Lost, |relayed| relayed.outcome.clone());
    let (exit, released) = engine.finish(running, outcome.clone());
    if let Err(problem) = released {
        eprintln!("WARNING: cannot clean up after the container, the next command tries again: {problem}");
    }
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

/// The image, pulled first if it has to be. One that is here costs nothing but the look.
fn image(global: &Global, engine: &Engine, flags: &RunFlags, name: &str) -> Result<Defaults, Failure> {
    let platform = flags.platform.as_ref();
    if flags.pull != Pull::Always {
        match engine.image_for(name, platform) {
            Ok(image) => return Ok(Defaults::from(&image)),
            Err(Error::NoSuchImage(_)) if flags.pull == Pull::Missing => {}
            Err(error) => return Err(Failure::run(error)),
        }
    }
    // Nobody can be asked for an id.
    let is_id =
        name.parse::<Digest>().is_ok() || name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id {
        return Err(Failure::run(Error::NoSuchImage(name.to_owned())));
    }
    let reference: Reference = name.parse().map_err(Failure::run)?;
    if flags.pull == Pull::Missing && !flags.quiet {
        eprintln!("Unable to find image '{}' locally", reference.familiar());
    }
    let stream = if flags.quiet { Stream::Nowhere } else { Stream::Stderr };
    let puller = Puller::new(global, flags.platform.clone(), stream)?;
    puller.pull(engine, &reference).map_err(Failure::run)?;
    drop(puller);
    let image = engine.image_for(name, platform).map_err(Failure::run)?;
    Ok(Defaults::from(&image))
}

/// The exit code, or why the container did not run.
fn verdict(outcome: &Outcome, exit: Exit) -> Result<u8, Failure> {
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

//! `sandbox start`, and the launch of a container that nobody waits for.

use sandbox_engine::{Engine, Made, Manner, Outcome, Size};
use sandbox_shim::client::{self, Event};
use sandbox_shim::wire::{Attach, Notice, Request};

use super::run::{NO_TERMINAL, finish, verdict};
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::StartFlags;
use crate::format;
use crate::relay::{self, signals::Signals, terminal};

pub(in crate::commands) fn run(global: &Global, flags: &StartFlags) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    if !flags.attach && !flags.interactive {
        return detached(&engine, &flags.containers);
    }
    match flags.containers.as_slice() {
        [name] => attached(&engine, flags, name),
        _ => Err(Failure::plain("you cannot start and attach multiple containers at once")),
    }
}

fn detached(engine: &Engine, names: &[String]) -> Result<u8, Failure> {
    let (mut failures, mut failed) = (Vec::new(), Vec::new());
    for name in names {
        let started = engine.find(name).and_then(|container| {
            let Some(made) = engine.take(&container)? else { return Ok(Ok(())) };
            launch(engine, made, Manner::default())
        });
        let failure = match started {
            Ok(Ok(())) => {
                format::print_line(name)?;
                continue;
            }
            Ok(Err((message, _))) => Failure::engine(message),
            Err(error) => Failure::from(error),
        };
        failures.push(failure);
        failed.push(name.as_str());
    }
    if !failed.is_empty() {
        failures.push(Failure::text_only(format!("failed to start containers: {}", failed.join(", "))));
    }
    Failure::all(failures)
}

/// Starts a container and leaves it; the inner error is why it did not start, with its exit code.
pub(in crate::commands) fn launch(
    engine: &Engine,
    made: Made,
    manner: Manner,
) -> sandbox_engine::Result<Result<(), (String, u8)>> {
    let (running, connection) = engine.start(made, manner)?;
    let broken = |e: std::io::Error| sandbox_engine::Error::invalid(format!("talk to the supervisor: {e}"));
    let (sender, mut receiver) = client::connect(connection).map_err(broken)?;
    let outcome = loop {
        match receiver.receive() {
            Ok(Some(Event::Notice(Notice::Started { .. }))) => {
                // The end of the connection says the same.
                let _ = sender.request(&Request::Detach);
                return Ok(Ok(()));
            }
            Ok(Some(Event::Notice(Notice::StartFailed { message, exit_code }))) => {
                break Outcome::StartFailed { message, exit_code };
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break Outcome::Lost,
        }
    };
    drop((sender, receiver));
    let exit = finish(engine, running, outcome);
    Ok(Err((exit.error.unwrap_or_default(), exit.code)))
}

/// `-a`, `-i`: until its end, whose exit code is ours.
fn attached(engine: &Engine, flags: &StartFlags, name: &str) -> Result<u8, Failure> {
    let container = engine.find(name)?;
    let Some(made) = engine.take(&container)? else {
        let streams = Attach { stdin: flags.interactive, stdout: true, stderr: true };
        return super::attach::attach(
            engine,
            &container,
            streams,
            flags.sig_proxy,
            flags.detach_keys.clone(),
        );
    };
    let (tty, stdin) = (made.tty(), flags.interactive && made.open_stdin());
    if tty && stdin && !terminal::is_stdin_terminal() {
        engine.put_back(made)?;
        return Err(Failure::plain(NO_TERMINAL));
    }
    let signals = Signals::catch().map_err(|e| Failure::plain(format!("catch signals: {e}")))?;
    let size = if tty { terminal::size().unwrap_or_default() } else { Size::default() };
    let (running, connection) = engine.start(made, Manner { tied: false, stdin, size })?;
    let raw = if tty && stdin {
        terminal::Raw::enter().map_err(|e| Failure::plain(format!("make the terminal raw: {e}")))?
    } else {
        None
    };
    let options = relay::Options {
        stdin,
        stdout: true,
        stderr: true,
        tty,
        sig_proxy: flags.sig_proxy,
        tied: false,
        detach_keys: (tty && stdin).then(|| flags.detach_keys.clone().unwrap_or_default()),
    };
    let relayed = relay::run(connection, &signals, options);
    drop(raw);
    let relayed = relayed.map_err(|e| Failure::plain(format!("relay the container's streams: {e}")))?;
    if relayed.detached {
        return Ok(0);
    }
    if let Some(signal) = relayed.ended_by {
        return Ok(128 + signal as u8);
    }
    if let (true, Outcome::Exited(exit)) = (relayed.goes_on, &relayed.outcome) {
        return Ok(exit.code);
    }
    let exit = finish(engine, running, relayed.outcome.clone());
    verdict(&relayed.outcome, exit)
}

//! `sandbox attach`.

use std::os::unix::net::UnixStream;

use sandbox_engine::state::containers::Container;
use sandbox_engine::{Engine, Error, Outcome};
use sandbox_shim::client::write_request;
use sandbox_shim::wire::{Attach, Request};

use super::run::NO_TERMINAL;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::AttachFlags;
use crate::relay::detach::DetachKeys;
use crate::relay::{self, signals::Signals, terminal};

pub(in crate::commands) fn run(global: &Global, flags: &AttachFlags) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    let container = engine.find(&flags.container)?;
    let streams = Attach { stdin: !flags.no_stdin, stdout: true, stderr: true };
    attach(&engine, &container, streams, flags.sig_proxy, flags.detach_keys.clone())
}

/// Takes part in the streams of a running container until its end, whose exit code is ours, or the detach keys.
pub(super) fn attach(
    engine: &Engine,
    container: &Container,
    streams: Attach,
    sig_proxy: bool,
    keys: Option<DetachKeys>,
) -> Result<u8, Failure> {
    let view = engine.view(container.clone())?;
    match view.state() {
        "running" => {}
        "paused" => {
            return Err(Failure::plain("cannot attach to a paused container, unpause it first"));
        }
        "restarting" => {
            return Err(Failure::plain("cannot attach to a restarting container, wait until it is running"));
        }
        _ => return Err(Failure::plain("cannot attach to a stopped container, start it first")),
    }
    let recipe = engine.recipe(container)?;
    let (tty, open) = (recipe.request.process.tty, recipe.request.process.open_stdin);
    let streams = Attach { stdin: streams.stdin && open, ..streams };
    if tty && streams.stdin && !terminal::is_stdin_terminal() {
        return Err(Failure::plain(NO_TERMINAL));
    }
    let mut connection = engine.connect(container)?;
    write_request(&mut connection, &Request::Attach(streams))
        .map_err(|e| Failure::plain(format!("talk to the supervisor: {e}")))?;
    let signals = Signals::catch().map_err(|e| Failure::plain(format!("catch signals: {e}")))?;
    if tty {
        resize(&mut connection);
    }
    let raw = if tty && streams.stdin {
        terminal::Raw::enter().map_err(|e| Failure::plain(format!("make the terminal raw: {e}")))?
    } else {
        None
    };
    let options = relay::Options {
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        tty,
        sig_proxy,
        tied: false,
        detach_keys: (tty && streams.stdin).then(|| keys.unwrap_or_default()),
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
    match relayed.outcome {
        Outcome::Exited(exit) => Ok(exit.code),
        Outcome::StartFailed { message, exit_code } => Err(Failure::plain(message).code(exit_code)),
        Outcome::Lost => match engine.wait_exited(container) {
            // It was not told because it ended just then, or because we did not listen.
            Ok(code) if !engine.view(container.clone()).is_ok_and(|view| view.is_running()) => Ok(code),
            Ok(_) | Err(Error::NotRunning(_)) => Err(Failure::plain(LOST)),
            Err(error) => Err(error.into()),
        },
    }
}

/// What the supervisor does with a client that takes nothing.
const LOST: &str = "disconnected: the container's output was not read for a while; attach again, or use logs";

/// The first size; a program that shows a whole screen draws it anew.
fn resize(connection: &mut UnixStream) {
    if let Some(size) = terminal::size() {
        // A connection that is gone is found out by the relay.
        let _ = write_request(connection, &Request::Resize { rows: size.rows, cols: size.cols });
    }
}

//! `sandbox exec`.

use sandbox_engine::{ExecRequest, Outcome};
use sandbox_shim::client::write_request;
use sandbox_shim::wire::Request;

use super::run::NO_TERMINAL;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::container::ExecFlags;
use crate::relay::{self, signals::Signals, terminal};

pub(in crate::commands) fn run(global: &Global, flags: &ExecFlags) -> Result<u8, Failure> {
    let request = ExecRequest {
        command: flags.command.clone(),
        env: flags.environment()?,
        working_dir: flags.workdir.clone(),
        user: flags.user.clone(),
        privileged: flags.privileged,
        tty: flags.tty,
        stdin: flags.interactive && !flags.detach,
        detach: flags.detach,
        size: if flags.tty { terminal::size().unwrap_or_default() } else { sandbox_engine::Size::default() },
    };
    if flags.tty && request.stdin && !terminal::is_stdin_terminal() {
        return Err(Failure::plain(NO_TERMINAL));
    }
    let engine = crate::commands::engine(global)?;
    let container = engine.find(&flags.container)?;
    let exec = engine.exec(&container, &request)?;
    let signals = Signals::catch().map_err(|e| Failure::plain(format!("catch signals: {e}")))?;
    let mut connection = engine.connect(&container)?;
    write_request(&mut connection, &Request::Exec(Box::new(exec)))
        .map_err(|e| Failure::plain(format!("talk to the supervisor: {e}")))?;
    let raw = if flags.tty && request.stdin {
        terminal::Raw::enter().map_err(|e| Failure::plain(format!("make the terminal raw: {e}")))?
    } else {
        None
    };
    let options = relay::Options {
        stdin: request.stdin,
        stdout: true,
        stderr: true,
        tty: flags.tty,
        sig_proxy: false,
        tied: false,
        detach_keys: (flags.tty && request.stdin).then(|| flags.detach_keys.clone().unwrap_or_default()),
    };
    let relayed = relay::run(connection, &signals, options);
    drop(raw);
    let relayed = relayed.map_err(|e| Failure::plain(format!("relay the streams of the process: {e}")))?;
    if let Some(signal) = relayed.ended_by {
        return Ok(128 + signal as u8);
    }
    match relayed.outcome {
        _ if relayed.detached => Ok(0),
        Outcome::Exited(exit) => Ok(exit.code),
        Outcome::StartFailed { message, exit_code } => Err(Failure::engine(message).code(match exit_code {
            // Ours, not the command's.
            crate::failure::ENGINE => 1,
            code => code,
        })),
        Outcome::Lost if flags.detach => Ok(0),
        Outcome::Lost => Err(Failure::engine(sandbox_engine::Error::NotRunning(container.id))),
    }
}

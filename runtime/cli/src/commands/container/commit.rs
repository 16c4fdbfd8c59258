//! `sandbox commit`.

use sandbox_engine::Commit;
use sandbox_image::{Change, Reference};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::files::CommitFlags;
use crate::format;
use crate::interrupt::Interrupt;

pub(in crate::commands) fn run(global: &Global, flags: &CommitFlags) -> Result<u8, Failure> {
    let commit = options(flags)?;
    let _interrupt = Interrupt::watch()?;
    let id = crate::commands::engine(global)?.commit(&flags.container, &commit)?;
    format::print_line(&id.to_string())?;
    Ok(0)
}

fn options(flags: &CommitFlags) -> Result<Commit, Failure> {
    let name: Option<Reference> = match flags.name.as_deref() {
        None | Some("") => None,
        Some(name) => Some(name.parse().map_err(Failure::plain)?),
    };
    if name.as_ref().is_some_and(|name| name.digest().is_some()) {
        return Err(Failure::plain("cannot commit to digest reference"));
    }
    let changes = flags.change.iter().map(|text| text.parse::<Change>());
    Ok(Commit {
        name,
        author: flags.author.clone(),
        message: flags.message.clone(),
        changes: changes.collect::<Result<_, _>>().map_err(Failure::plain)?,
        pause: flags.pause && !flags.no_pause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Command, parse};

    fn of(line: &[&str]) -> Result<Commit, Failure> {
        let arguments: Vec<_> = ["sandbox", "commit"].iter().chain(line).map(Into::into).collect();
        let Ok(cli) = parse(&arguments) else { panic!("{line:?}") };
        let Command::Commit(flags) = cli.command else { panic!("{line:?}") };
        options(&flags)
    }

    #[test]
    fn flags() {
        let commit =
            of(&["-a", "me", "-m", "why", "-c", "CMD x", "--change=ENV A=b", "c", "box:v1"]).unwrap();
        assert_eq!((commit.author.as_str(), commit.message.as_str(), commit.changes.len()), ("me", "why", 2));
        assert!(commit.pause && commit.name.is_some());
        assert!(!of(&["--no-pause", "c"]).unwrap().pause && !of(&["--pause=false", "c"]).unwrap().pause);
        assert!(of(&["c", ""]).unwrap().name.is_none());
        assert!(of(&["-c", "RUN x", "c"]).is_err() && of(&["c", "UPPER"]).is_err());
        let digest = format!("x@sha256:{}", "0".repeat(64));
        assert_eq!(of(&["c", &digest]).unwrap_err().text(), "sandbox: cannot commit to digest reference");
    }
}

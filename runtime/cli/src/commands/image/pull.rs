//! `sandbox pull`, and the pull of a run whose image is not here.

use sandbox_engine::{Config, Engine, Registries};
use sandbox_image::{Platform, PullEvent, PullOptions, PullState, PullStatus, Pulled, Reference};

use super::Asked;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::PullFlags;
use crate::format;
use crate::interrupt::Interrupt;
use crate::progress::{Amount, Message, Progress, Stream};

pub(in crate::commands) fn run(global: &Global, flags: &PullFlags) -> Result<u8, Failure> {
    let asked = Asked::parse(&flags.name, flags.all_tags)?;
    let stream = if flags.quiet { Stream::Nowhere } else { Stream::Stdout };
    let puller = Puller::new(global, flags.platform.clone(), stream)?;
    let engine = crate::commands::engine(global)?;
    if !flags.all_tags {
        asked.announce(flags.quiet)?;
        puller.pull(&engine, &asked.reference)?;
        format::print_line(&asked.reference.to_string())?;
        return Ok(0);
    }
    let repository = asked.reference.repository();
    for tag in puller.registries.tags(&asked.reference).map_err(Failure::engine)? {
        let reference: Reference = format!("{repository}:{tag}").parse().map_err(Failure::engine)?;
        puller.pull(&engine, &reference)?;
    }
    format::print_line(&repository)?;
    Ok(0)
}

/// Pulls, and tells about it.
pub(in crate::commands) struct Puller {
    registries: Registries,
    options: PullOptions,
    stream: Stream,
    /// A signal ends the command; what was fetched is taken up by the next pull.
    _interrupt: Interrupt,
}

impl Puller {
    pub(in crate::commands) fn new(
        global: &Global,
        platform: Option<Platform>,
        stream: Stream,
    ) -> Result<Puller, Failure> {
        let interrupt = Interrupt::watch()?;
        let config = Config::load(&global.config)?;
        let options = PullOptions { platform, policy: config.policy()?, ..PullOptions::default() };
        Ok(Puller { registries: Registries::new(config), options, stream, _interrupt: interrupt })
    }

    pub(in crate::commands) fn pull(
        &self,
        engine: &Engine,
        reference: &Reference,
    ) -> sandbox_engine::Result<Pulled> {
        let mut progress = Progress::new(self.stream);
        progress.line(heading(reference));
        let mut show = |event: PullEvent| progress.show(message(&event));
        let pulled = engine.pull(&self.registries, reference, &self.options, &mut show)?;
        for line in summary(reference, &pulled) {
            progress.line(line);
        }
        Ok(pulled)
    }
}

fn heading(reference: &Reference) -> String {
    let asked = match (reference.digest(), reference.tag()) {
        (Some(_), _) => reference.to_string(),
        (None, tag) => tag.unwrap_or_default().to_owned(),
    };
    format!("{asked}: Pulling from {}", reference.path())
}

fn message(event: &PullEvent) -> Message {
    let amount = match event.state {
        PullState::Downloading { current, total } | PullState::Extracting { current, total } => {
            Some(Amount { current, total })
        }
        PullState::Waiting | PullState::VerifyingChecksum => None,
        _ => Some(Amount { current: 0, total: 0 }),
    };
    Message::Step { id: event.layer.short().to_owned(), status: event.state.to_string(), amount }
}

fn summary(reference: &Reference, pulled: &Pulled) -> [String; 2] {
    let name = reference.familiar();
    let status = match pulled.status {
        PullStatus::Downloaded => format!("Status: Downloaded newer image for {name}"),
        PullStatus::UpToDate => format!("Status: Image is up to date for {name}"),
    };
    [format!("Digest: {}", pulled.digest), status]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(c: char) -> sandbox_image::Digest {
        format!("sha256:{}", c.to_string().repeat(64)).parse().unwrap()
    }

    #[test]
    fn headings() {
        let heading = |name: &str| heading(&name.parse().unwrap());
        assert_eq!(heading("alpine"), "latest: Pulling from library/alpine");
        assert_eq!(heading("localhost:5000/team/app:v1"), "v1: Pulling from team/app");
        let by_digest = format!("alpine@{}", digest('a'));
        assert_eq!(
            heading(&by_digest),
            format!("docker.io/library/{by_digest}: Pulling from library/alpine")
        );
    }

    #[test]
    fn summaries() {
        let pulled = Pulled {
            id: digest('a'),
            manifest: digest('b'),
            digest: digest('c'),
            status: PullStatus::Downloaded,
            replaced: None,
        };
        let lines = |pulled: &Pulled| summary(&"docker.io/library/alpine".parse().unwrap(), pulled);
        assert_eq!(
            lines(&pulled),
            [
                format!("Digest: {}", digest('c')),
                "Status: Downloaded newer image for alpine:latest".to_owned()
            ]
        );
        let pulled = Pulled { status: PullStatus::UpToDate, ..pulled };
        assert_eq!(lines(&pulled)[1], "Status: Image is up to date for alpine:latest");
    }

    #[test]
    fn states_become_steps() {
        let step = |state| message(&PullEvent { layer: digest('a'), state });
        let expected = |status: &str, current, total| Message::Step {
            id: "aaaaaaaaaaaa".to_owned(),
            status: status.to_owned(),
            amount: Some(Amount { current, total }),
        };
        assert_eq!(step(PullState::PullingFsLayer), expected("Pulling fs layer", 0, 0));
        assert_eq!(step(PullState::Downloading { current: 1, total: 2 }), expected("Downloading", 1, 2));
        assert_eq!(step(PullState::PullComplete), expected("Pull complete", 0, 0));
    }
}

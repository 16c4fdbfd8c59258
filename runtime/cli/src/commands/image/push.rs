//! `sandbox push`.

use sandbox_engine::{Engine, Registries};
use sandbox_image::{PushEvent, PushOptions, PushState, Pushed, Reference};

use super::Asked;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::PushFlags;
use crate::format;
use crate::interrupt::Interrupt;
use crate::progress::{Amount, Message, Progress, Stream};

pub(in crate::commands) fn run(global: &Global, flags: &PushFlags) -> Result<u8, Failure> {
    let asked = Asked::parse(&flags.name, flags.all_tags)?;
    let _interrupt = Interrupt::watch()?;
    let stream = if flags.quiet { Stream::Nowhere } else { Stream::Stdout };
    let registries = crate::commands::registries(global)?;
    let engine = crate::commands::engine(global)?;
    let names = if flags.all_tags {
        engine.names_in(&asked.reference)?
    } else {
        asked.announce(flags.quiet)?;
        vec![asked.reference.clone()]
    };
    if names.is_empty() {
        let name = asked.reference.familiar_name();
        return Err(Failure::engine(format!("An image does not exist locally with the tag: {name}")));
    }
    let mut progress = Progress::new(stream);
    progress.line(format!("The push refers to repository [{}]", asked.reference.repository()));
    for name in &names {
        if let Some(platform) = &flags.platform {
            engine.image_for(&name.to_string(), Some(platform))?;
        }
        let pushed = push(&engine, &registries, name, &mut progress)?;
        progress.line(result(name, &pushed));
    }
    drop(progress);
    if flags.quiet {
        let told = if flags.all_tags { asked.reference.repository() } else { asked.reference.to_string() };
        format::print_line(&told)?;
    }
    Ok(0)
}

fn push(
    engine: &Engine,
    registries: &Registries,
    name: &Reference,
    progress: &mut Progress,
) -> sandbox_engine::Result<Pushed> {
    let mut show = |event: PushEvent| progress.show(message(&event));
    engine.push(registries, name, &PushOptions::default(), &mut show)
}

fn message(event: &PushEvent) -> Message {
    let amount = match event.state {
        PushState::Pushing { current, total } => Amount { current, total },
        _ => Amount { current: 0, total: 0 },
    };
    Message::Step {
        id: event.layer.short().to_owned(),
        status: event.state.to_string(),
        amount: Some(amount),
    }
}

fn result(name: &Reference, pushed: &Pushed) -> String {
    let tag = name.tag().unwrap_or_default();
    format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_words() {
        let digest: sandbox_image::Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let pushed = Pushed { digest: digest.clone(), size: 528 };
        assert_eq!(
            result(&"alpine".parse().unwrap(), &pushed),
            format!("latest: digest: {digest} size: 528")
        );
        let event = PushEvent { layer: digest, state: PushState::MountedFrom("library/alpine".to_owned()) };
        let Message::Step { status, .. } = message(&event) else { panic!("a line") };
        assert_eq!(status, "Mounted from library/alpine");
    }
}

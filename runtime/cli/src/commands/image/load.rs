//! `sandbox load`.

use sandbox_engine::Config;
use sandbox_image::{Input, LoadOptions};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::LoadFlags;
use crate::interrupt::Interrupt;
use crate::progress::{Amount, Message, Progress, Stream};

pub(in crate::commands) fn run(global: &Global, flags: &LoadFlags) -> Result<u8, Failure> {
    let stdin = rustix::stdio::stdin();
    if flags.input.is_none() && rustix::termios::isatty(stdin) {
        return Err(Failure::plain("requested load from stdin, but stdin is empty"));
    }
    let _interrupt = Interrupt::watch()?;
    let policy = Config::load(&global.config)?.policy()?;
    let options = LoadOptions { platform: flags.platform.clone(), policy, ..LoadOptions::default() };
    let engine = crate::commands::engine(global)?;
    let mut reader;
    let input = if let Some(path) = &flags.input {
        std::fs::metadata(path).map_err(|e| Failure::plain(format!("open {}: {e}", path.display())))?;
        Input::Path(path)
    } else {
        let owned =
            stdin.try_clone_to_owned().map_err(|e| Failure::plain(format!("open standard input: {e}")))?;
        reader = std::fs::File::from(owned);
        Input::Reader(&mut reader)
    };
    // Off a terminal the layers are not worth a line each.
    let shows = !flags.quiet && rustix::termios::isatty(rustix::stdio::stdout());
    let mut progress = Progress::new(if shows { Stream::Stdout } else { Stream::Nowhere });
    let loaded = engine.load(input, &options, &mut |event| {
        if let Some(message) = message(&event) {
            progress.show(message);
        }
    })?;
    drop(progress);
    for image in loaded {
        let line = match &image.reference {
            Some(reference) => format!("Loaded image: {}", reference.familiar()),
            None => format!("Loaded image ID: {}", image.id),
        };
        crate::format::print_line(&line)?;
    }
    Ok(0)
}

fn message(event: &sandbox_image::Progress) -> Option<Message> {
    let sandbox_image::Progress::Layer { diff_id, bytes, total } = event else { return None };
    Some(Message::Step {
        id: diff_id.short().to_owned(),
        status: "Loading layer".to_owned(),
        amount: Some(Amount { current: *bytes, total: *total }),
    })
}

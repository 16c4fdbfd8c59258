//! `sandbox load`.

use sandbox_image::{Input, LoadOptions, Platform};

use crate::failure::Failure;
use crate::flags::{Global, LoadFlags};

pub(super) fn run(global: &Global, flags: &LoadFlags) -> Result<u8, Failure> {
    let platform =
        flags.platform.as_deref().map(str::parse::<Platform>).transpose().map_err(Failure::plain)?;
    let stdin = rustix::stdio::stdin();
    if flags.input.is_none() && rustix::termios::isatty(stdin) {
        return Err(Failure::plain("requested load from stdin, but stdin is empty"));
    }
    let engine = super::engine(global)?;
    let options = LoadOptions { platform, ..LoadOptions::default() };
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
    let loaded = engine.load(input, &options, &mut |_| {})?;
    for image in loaded {
        let Some(text) = (!flags.quiet).then(|| match &image.reference {
            Some(reference) => format!("Loaded image: {}", reference.familiar()),
            None => format!("Loaded image ID: {}", image.id),
        }) else {
            continue;
        };
        crate::format::print_line(&text)?;
    }
    Ok(0)
}

//! `sandbox import`.

use std::fs::File;
use std::io::Read;

use sandbox_image::{Change, ImportOptions, Reference};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::ImportFlags;
use crate::format;
use crate::interrupt::Interrupt;

pub(in crate::commands) fn run(global: &Global, flags: &ImportFlags) -> Result<u8, Failure> {
    let options = options(flags)?;
    let _interrupt = Interrupt::watch()?;
    let mut source = source(global, &flags.source)?;
    let imported = crate::commands::engine(global)?.import(&mut *source, &options)?;
    format::print_line(&imported.id.to_string())?;
    Ok(0)
}

fn options(flags: &ImportFlags) -> Result<ImportOptions, Failure> {
    let name: Option<Reference> =
        flags.name.as_deref().map(str::parse).transpose().map_err(Failure::plain)?;
    if name.as_ref().is_some_and(|name| name.digest().is_some()) {
        return Err(Failure::plain("cannot import digest reference"));
    }
    let changes = flags.change.iter().map(|text| text.parse::<Change>());
    let message = match flags.message.as_str() {
        "" if flags.source.contains("://") => format!("Imported from {}", flags.source),
        "" => "Imported from -".to_owned(),
        message => message.to_owned(),
    };
    Ok(ImportOptions {
        name,
        changes: changes.collect::<Result<_, _>>().map_err(Failure::plain)?,
        message,
        platform: flags.platform.clone(),
        ..ImportOptions::default()
    })
}

fn source(global: &Global, name: &str) -> Result<Box<dyn Read + Send>, Failure> {
    if name == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return Ok(crate::commands::registries(global)?.download(name)?);
    }
    let file = File::open(name).map_err(|error| Failure::plain(format!("open {name}: {error}")))?;
    Ok(Box::new(file))
}

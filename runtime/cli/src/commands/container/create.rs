//! `sandbox create`, and what it shares with `run`: the image, the file for the id.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use sandbox_engine::image::Defaults;
use sandbox_engine::{Engine, Error};
use sandbox_image::{Digest, Reference};

use crate::commands::image::pull::Puller;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::run::CreateFlags;
use crate::flags::value::Pull;
use crate::format;
use crate::progress::Stream;

pub(in crate::commands) fn run(global: &Global, flags: &CreateFlags) -> Result<u8, Failure> {
    let settings = global.settings().map_err(Failure::run)?;
    let request = flags.request(true, &settings)?;
    let mut engine = crate::commands::engine_of(&settings).map_err(Failure::run)?;
    warn(flags);
    let id_file = IdFile::claim(flags.cidfile.as_deref())?;
    let image = image(global, &engine, flags, &request.image)?;
    replace(&engine, flags)?;
    let made = engine.create(&request, &image).map_err(Failure::run)?;
    let container = engine.park(made).map_err(Failure::run)?;
    id_file.fill(&container.id)?;
    format::print_line(&container.id)?;
    Ok(0)
}

/// What is accepted and not done.
pub(super) fn warn(flags: &CreateFlags) {
    for warning in flags.warnings() {
        eprintln!("WARNING: {warning}");
    }
}

/// `--replace`: removes the container that has the name, also one that runs. Comes last before the new one is made, so
/// that an image that is not there costs nobody a container.
pub(super) fn replace(engine: &Engine, flags: &CreateFlags) -> Result<(), Failure> {
    let Some(name) = flags.name.as_deref().filter(|_| flags.replace) else { return Ok(()) };
    let name = name.strip_prefix('/').unwrap_or(name);
    match engine.find(name) {
        // What an id begins with is not the name.
        Ok(old) if old.name == name => engine.remove(&old, name, true, false).map_err(Failure::run),
        Ok(_) | Err(Error::NoSuchContainer(_)) => Ok(()),
        Err(error) => Err(Failure::run(error)),
    }
}

/// The image, pulled first if it has to be. One that is here costs nothing but the look.
pub(super) fn image(
    global: &Global,
    engine: &Engine,
    flags: &CreateFlags,
    name: &str,
) -> Result<Defaults, Failure> {
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

/// `--cidfile`: must not be there before, and is not left behind without an id in it.
pub(super) struct IdFile<'a>(Option<(&'a Path, File)>);

impl<'a> IdFile<'a> {
    pub(super) fn claim(path: Option<&'a Path>) -> Result<IdFile<'a>, Failure> {
        let Some(path) = path else { return Ok(IdFile(None)) };
        match File::create_new(path) {
            Ok(file) => Ok(IdFile(Some((path, file)))),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Failure::run(format!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            ))),
            Err(e) => {
                Err(Failure::run(format!("failed to create the container ID file: {}: {e}", path.display())))
            }
        }
    }

    pub(super) fn fill(mut self, id: &str) -> Result<(), Failure> {
        let Some((path, mut file)) = self.0.take() else { return Ok(()) };
        file.write_all(id.as_bytes()).map_err(|e| {
            Failure::run(format!("failed to write the container ID to the file ({}): {e}", path.display()))
        })
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.0 {
            // It was made by us and holds nothing.
            let _ = std::fs::remove_file(path);
        }
    }
}

//! `sandbox rmi`.

use sandbox_engine::Error;
use sandbox_image::RemoveOptions;

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::RemoveFlags;
use crate::format;

pub(in crate::commands) fn run(global: &Global, flags: &RemoveFlags) -> Result<u8, Failure> {
    let engine = crate::commands::engine(global)?;
    let options = RemoveOptions { force: flags.force, no_prune: flags.no_prune };
    let (mut failures, mut fatal) = (Vec::new(), false);
    for image in &flags.images {
        match engine.remove_image(image, options) {
            Ok(removed) => removed.iter().try_for_each(|one| format::print_line(&one.to_string()))?,
            Err(error) => {
                fatal |= !matches!(error, Error::NoSuchImage(_));
                failures.push(Failure::from(error));
            }
        }
    }
    if flags.force && !fatal {
        // What is not there need not be removed, but is told.
        for failure in &failures {
            eprintln!("{}", failure.text());
        }
        return Ok(0);
    }
    Failure::all(failures)
}

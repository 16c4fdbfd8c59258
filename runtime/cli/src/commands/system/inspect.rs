//! `sandbox inspect`.

use sandbox_engine::Error;

use crate::commands::image::inspect::SHAPE;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::system::InspectFlags;
use crate::format::{self, inspect::Style};

pub(in crate::commands) fn run(global: &Global, flags: &InspectFlags) -> Result<u8, Failure> {
    let style = Style::parse(flags.format.as_deref())?;
    let engine = crate::commands::engine(global)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in &flags.names {
        match engine.inspect_image(name) {
            Ok(inspection) => found.push(inspection),
            Err(Error::NoSuchImage(_)) if flags.r#type.is_none() => {
                failures.push(Failure::text_only(format!("error: no such object: {name}")));
            }
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    let (text, errors) = style.render(&found, &SHAPE);
    format::print(&text)?;
    failures.extend(errors.into_iter().map(Failure::plain));
    Failure::all(failures)
}

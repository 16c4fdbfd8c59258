//! `sandbox inspect`: of anything that has the name, containers first, as Docker looks.

use sandbox_engine::{ContainerInspection, Engine, Error};
use sandbox_image::Inspection;
use serde::Serialize;

use crate::commands::{container, image};
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::system::InspectFlags;
use crate::format::{self, inspect::Style};

/// What has a name.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Object {
    Container(Box<ContainerInspection>),
    Image(Box<Inspection>),
}

pub(in crate::commands) fn run(global: &Global, flags: &InspectFlags) -> Result<u8, Failure> {
    let style = Style::parse(flags.format.as_deref())?;
    let engine = crate::commands::engine(global)?;
    let kind = flags.r#type.as_deref().unwrap_or_default();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in &flags.names {
        match object(&engine, kind, name, flags.size) {
            Ok(Some(object)) => found.push(object),
            Ok(None) => failures.push(Failure::text_only(missing(kind, name))),
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    let (text, errors) = style.render_each(&found, |object| match object {
        Object::Container(_) => &container::inspect::SHAPE,
        Object::Image(_) => &image::inspect::SHAPE,
    });
    format::print(&text)?;
    failures.extend(errors.into_iter().map(Failure::plain));
    Failure::all(failures)
}

/// The object of that kind, or of any, that has the name; `None` if nothing has.
fn object(engine: &Engine, kind: &str, name: &str, size: bool) -> Result<Option<Object>, Error> {
    if matches!(kind, "" | "container") {
        match engine.find(name).and_then(|container| engine.inspect_container(container, size)) {
            Ok(inspection) => return Ok(Some(Object::Container(Box::new(inspection)))),
            Err(Error::NoSuchContainer(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if matches!(kind, "" | "image") {
        match engine.inspect_image(name) {
            Ok(inspection) => return Ok(Some(Object::Image(Box::new(inspection)))),
            // A name that no image can have is no image's.
            Err(Error::NoSuchImage(_) | Error::Image(sandbox_image::Error::InvalidReference { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Docker's texts, which name the kind that was asked for.
fn missing(kind: &str, name: &str) -> String {
    match kind {
        "" => format!("error: no such object: {name}"),
        "network" => format!("Error: network {name} not found"),
        "volume" => format!("Error: get {name}: no such volume"),
        kind => format!("Error: No such {kind}: {name}"),
    }
}

//! `events --filter`.

use std::collections::BTreeMap;

use sandbox_shim::events::Event;

use crate::error::{Error, Result};

const KEYS: [&str; 9] =
    ["container", "daemon", "event", "image", "label", "network", "scope", "type", "volume"];
/// Actions that say more behind a colon: such a filter is the beginning of an action.
const LONG_ACTIONS: [&str; 3] = ["health_status", "exec_create", "exec_start"];

/// Conditions on events. Those of different keys must all hold, and of one key one; but of labels all must.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    wanted: BTreeMap<String, Vec<String>>,
}

impl EventFilter {
    /// The filter of `(key, value)` pairs.
    ///
    /// # Errors
    /// Docker's text for keys that are none.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<EventFilter> {
        let mut filter = EventFilter::default();
        for (key, value) in pairs {
            if !KEYS.contains(&key) {
                return Err(Error::invalid(format!("invalid filter '{key}'")));
            }
            filter.wanted.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Ok(filter)
    }

    pub(super) fn matches(&self, event: &Event) -> bool {
        self.wanted.iter().all(|(key, values)| match key.as_str() {
            "label" => values.iter().all(|label| has_label(event, label)),
            "event" => {
                let long = values.iter().any(|value| LONG_ACTIONS.contains(&value.as_str()));
                values
                    .iter()
                    .any(|value| *value == event.action || long && event.action.starts_with(value.as_str()))
            }
            "type" => values.contains(&event.kind),
            "scope" => values.contains(&event.scope),
            "image" => values.iter().any(|value| of_image(event, value)),
            // The beginning of an id or name, of whatever kind the actor is: so has Docker.
            _ => values.iter().any(|value| {
                let name = event.actor.attributes.get("name");
                event.actor.id.starts_with(value) || name.is_some_and(|name| name.starts_with(value))
            }),
        })
    }
}

fn has_label(event: &Event, label: &str) -> bool {
    let (name, value) = label.split_once('=').map_or((label, None), |(name, value)| (name, Some(value)));
    event.actor.attributes.get(name).is_some_and(|found| value.is_none_or(|value| value == found))
}

/// The image itself, or a container of it, with the tag or without.
fn of_image(event: &Event, value: &str) -> bool {
    let attribute = if event.kind == "image" { "name" } else { "image" };
    let name = event.actor.attributes.get(attribute).map_or("", String::as_str);
    [&event.actor.id, name, without_tag(&event.actor.id), without_tag(name)].contains(&value)
}

/// The colon of a port is not that of a tag.
fn without_tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

//! Tells what happens to containers in the journal of events. News, not state: it never fails what it tells of.

use std::collections::BTreeMap;

use sandbox_shim::events::{self, Event};

use crate::paths::Paths;
use crate::recipe::Recipe;
use crate::state::containers::Container;

/// With the labels at hand.
pub(crate) fn labelled(
    paths: &Paths,
    container: &Container,
    labels: &BTreeMap<String, String>,
    action: &str,
    more: &[(&str, &str)],
) {
    let subject =
        events::Container { id: &container.id, name: &container.name, image: &container.image_name, labels };
    events::append(&paths.run_root, &Event::container(action, &subject, more.iter().copied()));
}

/// With the labels that it was made with; call it while its directory is there.
pub(crate) fn container(paths: &Paths, container: &Container, action: &str, more: &[(&str, &str)]) {
    labelled(paths, container, &labels(paths, &container.id), action, more);
}

/// The labels that a container was made with, as long as its directory is there.
pub(crate) fn labels(paths: &Paths, id: &str) -> BTreeMap<String, String> {
    Recipe::read(&paths.container(id)).ok().flatten().unwrap_or_default().labels
}

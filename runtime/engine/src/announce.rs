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
    let recipe = Recipe::read(&paths.container(&container.id)).ok().flatten().unwrap_or_default();
    labelled(paths, container, &recipe.labels, action, more);
}

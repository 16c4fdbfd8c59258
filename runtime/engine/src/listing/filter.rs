//! `--filter` of the list of containers, with Docker's keys and errors.
//!
//! Of one key one value must hold, but of labels all; all keys must. `id` and `name` are regular expressions.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

use super::Listed;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::isolation::Isolation;
use crate::live::STATES;
use crate::parse::mount_flag::boolean;
use crate::state::containers;

/// Bytes of a compiled expression: what people write takes some thousand.
const REGEX_SIZE: usize = 1 << 20;
const HEALTH: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

/// Conditions on containers.
#[derive(Debug, Default)]
pub struct ContainerFilter {
    ids: Vec<Regex>,
    names: Vec<Regex>,
    labels: Vec<(String, Option<String>)>,
    exited: Vec<i64>,
    states: Vec<String>,
    /// Ids of the images that count.
    images: Option<HashSet<String>>,
    /// Made before, and after, these times.
    before_ns: Option<i64>,
    since_ns: Option<i64>,
    volumes: Vec<String>,
    networks: Vec<String>,
    health: Vec<String>,
    isolations: Vec<Isolation>,
    /// What nothing here can be: part of a swarm's task, or with a published or exposed port, before there are networks.
    nothing: bool,
}

impl ContainerFilter {
    /// A state that was asked for is shown whether it is a running one or not.
    pub(crate) fn asks_for_states(&self) -> bool {
        !self.states.is_empty()
    }

    pub(crate) fn matches(&self, listed: &Listed) -> bool {
        let view = &listed.view;
        let container = &view.container;
        !self.nothing
            && any(&self.ids, |id| id.is_match(&container.id))
            && any(&self.names, |name| {
                name.is_match(&container.name) || name.is_match(&format!("/{}", container.name))
            })
            && any(&self.exited, |code| {
                !view.is_running() && view.started_ns().is_some() && *code == i64::from(view.exit_code())
            })
            && any(&self.states, |state| state == view.state())
            && self.images.as_ref().is_none_or(|images| images.contains(&container.image_id))
            && self.before_ns.is_none_or(|before| container.created_ns < before)
            && self.since_ns.is_none_or(|since| container.created_ns > since)
            && any(&self.health, |health| health == view.health())
            && any(&self.isolations, |isolation| *isolation == container.isolation)
            && self.recipe_matches(listed)
    }

    /// What a file is read for comes last.
    fn recipe_matches(&self, listed: &Listed) -> bool {
        if self.labels.is_empty() && self.volumes.is_empty() && self.networks.is_empty() {
            return true;
        }
        let Some(recipe) = listed.recipe() else { return false };
        let has = |(key, value): &(String, Option<String>)| {
            recipe.labels.get(key).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        self.labels.iter().all(has)
            && any(&self.volumes, |volume| {
                recipe.mounts.iter().any(|mount| mount.mount.target == *volume || mount.name() == *volume)
            })
            && any(&self.networks, |network| network == recipe.request.network.name())
    }
}

/// Whether there is no condition or one that holds.
fn any<T>(conditions: &[T], holds: impl Fn(&T) -> bool) -> bool {
    conditions.is_empty() || conditions.iter().any(holds)
}

impl Engine {
    /// The filter of `(key, value)` pairs.
    pub fn container_filter<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<ContainerFilter> {
        let mut filter = ContainerFilter::default();
        for (key, value) in pairs {
            match key {
                "id" => filter.ids.push(expression(key, value)?),
                "name" => filter.names.push(expression(key, value)?),
                "label" => filter.labels.push(match value.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (value.to_owned(), None),
                }),
                "exited" => filter.exited.push(value.parse().map_err(|_| {
                    Error::invalid(format!("strconv.Atoi: parsing {value:?}: invalid syntax"))
                })?),
                "status" => filter.states.push(one_of("state", value, &STATES)?),
                "health" => filter.health.push(one_of("health", value, &HEALTH)?),
                "ancestor" => filter.images.get_or_insert_default().extend(self.descendants(value)?),
                "before" => {
                    let created = self.find(value)?.created_ns;
                    filter.before_ns = Some(filter.before_ns.map_or(created, |other| other.min(created)));
                }
                "since" => {
                    let created = self.find(value)?.created_ns;
                    filter.since_ns = Some(filter.since_ns.map_or(created, |other| other.max(created)));
                }
                "volume" => filter.volumes.push(value.to_owned()),
                "network" => filter.networks.push(value.to_owned()),
                "isolation" => filter.isolations.push(value.parse().map_err(Error::Invalid)?),
                "publish" | "expose" => {
                    ports(value).ok_or_else(|| wrong(key, value))?;
                    filter.nothing = true;
                }
                "is-task" => filter.nothing |= boolean(value).ok_or_else(|| wrong(key, value))?,
                _ => return Err(Error::invalid(format!("invalid filter '{key}'"))),
            }
        }
        Ok(filter)
    }

    /// The image and those that were made from it, of all that containers have; none if there is no such image.
    fn descendants(&self, name: &str) -> Result<HashSet<String>> {
        let ancestor = match self.image(name) {
            Ok(image) => image,
            Err(Error::NoSuchImage(_)) => return Ok(HashSet::new()),
            Err(e) => return Err(e),
        };
        let layers = ancestor.config.rootfs().diff_ids();
        let mut found: HashSet<String> = [ancestor.id.to_string()].into();
        let used: HashSet<String> =
            containers::image_users(&self.connection)?.into_iter().map(|(_, _, image)| image).collect();
        for id in used {
            if found.contains(&id) {
                continue;
            }
            // One that was removed by force descends from nothing.
            let Ok(image) = self.image(&id) else { continue };
            let of = image.config.rootfs().diff_ids();
            if of.len() > layers.len() && of.starts_with(layers) {
                found.insert(id);
            }
        }
        Ok(found)
    }
}

fn expression(key: &str, value: &str) -> Result<Regex> {
    RegexBuilder::new(value).size_limit(REGEX_SIZE).build().map_err(|_| wrong(key, value))
}

fn wrong(key: &str, value: &str) -> Error {
    Error::invalid(format!("invalid filter '{key}={value}'"))
}

fn one_of(what: &str, value: &str, known: &[&str]) -> Result<String> {
    if known.contains(&value) {
        return Ok(value.to_owned());
    }
    let known = known.join(", ");
    Err(Error::invalid(format!("invalid value for {what} ({value}): must be one of {known}")))
}

/// `80`, `80/udp`, `80-82/tcp`
fn ports(text: &str) -> Option<(u16, u16)> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && matches!(protocol, "tcp" | "udp" | "sctp")).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::{add, engine, names};
    use crate::parse::volume;
    use crate::recipe::Recipe;
    use crate::request::{Network, Request};
    use crate::spec::Resolved;

    fn recipe() -> Recipe {
        let mount = volume::parse("data:/data", Path::new("/")).unwrap();
        Recipe {
            labels: [("tier".to_owned(), "web".to_owned()), ("x".to_owned(), "1".to_owned())].into(),
            mounts: vec![Resolved { mount, host_path: Some("/v/data/_data".into()) }],
            request: Request { network: Network::None, ..Request::default() },
            ..Recipe::default()
        }
    }

    #[test]
    fn every_key() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        add(&engine, "old", 0x1a, &Recipe::default());
        add(&engine, "web", 0x2b, &recipe());
        add(&engine, "web2", 0x3c, &Recipe::default());
        for (filters, expected) in [
            (&[("id", "^2b")][..], &["web"][..]),
            (&[("name", "web")], &["web2", "web"]),
            (&[("name", "^/web$")], &["web"]),
            (&[("name", "^web$"), ("name", "^old$")], &["web", "old"]),
            (&[("label", "tier")], &["web"]),
            (&[("label", "tier=web"), ("label", "x=2")], &[]),
            (&[("exited", "0")], &["web2", "web", "old"]),
            (&[("exited", "1")], &[]),
            (&[("status", "running")], &[]),
            (&[("before", "web2")], &["web", "old"]),
            (&[("since", "old"), ("before", "web2")], &["web"]),
            (&[("volume", "data")], &["web"]),
            (&[("volume", "/data")], &["web"]),
            (&[("network", "none")], &["web"]),
            (&[("network", "bridge")], &["web2", "old"]),
            (&[("health", "none")], &["web2", "web", "old"]),
            (&[("health", "healthy")], &[]),
            (&[("isolation", "vm")], &["web2", "web", "old"]),
            (&[("isolation", "process")], &[]),
            (&[("publish", "80-82/udp")], &[]),
            (&[("is-task", "false"), ("name", "old")], &["old"]),
            (&[("is-task", "true")], &[]),
            (&[("ancestor", "nothing")], &[]),
        ] {
            assert_eq!(names(&engine, true, None, filters), expected, "{filters:?}");
        }
    }

    #[test]
    fn what_docker_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        for (key, value, text) in [
            ("foo", "1", "invalid filter 'foo'"),
            ("exited", "x", "strconv.Atoi: parsing \"x\": invalid syntax"),
            (
                "status",
                "up",
                "invalid value for state (up): must be one of created, running, paused, restarting, removing, exited, \
                 dead",
            ),
            (
                "health",
                "ill",
                "invalid value for health (ill): must be one of none, starting, healthy, unhealthy",
            ),
            ("before", "nobody", "No such container: nobody"),
            ("name", "(", "invalid filter 'name=('"),
            ("name", "(a{1000}){1000}", "invalid filter 'name=(a{1000}){1000}'"),
            ("publish", "82-80", "invalid filter 'publish=82-80'"),
            ("is-task", "maybe", "invalid filter 'is-task=maybe'"),
            ("isolation", "x", "invalid isolation 'x' on linux"),
        ] {
            assert_eq!(engine.container_filter([(key, value)]).unwrap_err().to_string(), text);
        }
    }
}

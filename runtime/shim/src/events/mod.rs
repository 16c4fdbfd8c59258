//! Events: what happened to containers, images, volumes and networks, as Docker tells it.
//!
//! Commands and supervisors append them to one journal ([`journal`]); readers are the engine's. An event is news, not state:
//! writing one never fails the work that it tells of.

pub mod journal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calendar::{SECOND, now_ns};

pub use self::journal::append;

/// One event, as Docker's API writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The action, the id and the image once more, of containers and images only: what clients of old read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// `container`, `image`, `volume`, `network` or `daemon`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What happened; `exec_create: CMD`, `exec_start: CMD` and `health_status: STATE` say more behind a colon.
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    pub scope: String,
    /// Seconds since 1970.
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_ns: i64,
}

/// What it happened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes", default)]
    pub attributes: BTreeMap<String, String>,
}

/// Of containers: what goes into every event of one.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    pub id: &'a str,
    pub name: &'a str,
    /// As the user named it.
    pub image: &'a str,
    pub labels: &'a BTreeMap<String, String>,
}

impl Event {
    /// Something happened now.
    pub fn new<'a>(
        kind: &str,
        action: &str,
        id: &str,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Event {
        let time_ns = now_ns();
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Event {
            status: String::new(),
            id: String::new(),
            from: String::new(),
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes: attributes.collect() },
            scope: "local".to_owned(),
            time: time_ns.div_euclid(SECOND),
            time_ns,
        }
    }

    /// `attach commit copy create destroy detach die exec_create exec_start exec_die export health_status kill oom pause
    /// rename resize restart start stop top unpause update`; `more` is the action's own, such as `exitCode`.
    pub fn container<'a>(
        action: &str,
        container: &Container<'a>,
        more: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Event {
        let labels = container.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = [("image", container.image), ("name", container.name)];
        let attributes = labels.chain(own).chain(more);
        Event {
            status: action.to_owned(),
            id: container.id.to_owned(),
            from: container.image.to_owned(),
            ..Event::new("container", action, container.id, attributes)
        }
    }

    /// `delete import load pull push save tag untag prune`; the id is the digest or, of a pull or push, the name.
    pub fn image(action: &str, id: &str, name: &str, labels: &BTreeMap<String, String>) -> Event {
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Event {
            status: action.to_owned(),
            id: id.to_owned(),
            ..Event::new("image", action, id, labels.chain([("name", name)]))
        }
    }

    /// `create mount unmount destroy prune`; `more` is `driver`, and of a mount `container`, `destination`, `read/write`
    /// and `propagation`.
    pub fn volume<'a>(action: &str, name: &str, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> Event {
        Event::new("volume", action, name, more)
    }

    /// `create connect disconnect destroy remove prune`; `container` is whom it connects.
    pub fn network(action: &str, id: &str, name: &str, driver: &str, container: Option<&str>) -> Event {
        let container = container.map(|container| ("container", container));
        Event::new("network", action, id, [("name", name), ("type", driver)].into_iter().chain(container))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_json() {
        let labels = [("tier".to_owned(), "web".to_owned()), ("name".to_owned(), "no".to_owned())].into();
        let container = Container { id: "abc", name: "web", image: "alpine", labels: &labels };
        let mut event = Event::container("die", &container, [("exitCode", "3")]);
        (event.time, event.time_ns) = (1, 1_000_000_002);
        let want = concat!(
            r#"{"status":"die","id":"abc","from":"alpine","Type":"container","Action":"die","#,
            r#""Actor":{"ID":"abc","Attributes":{"exitCode":"3","image":"alpine","name":"web","tier":"web"}},"#,
            r#""scope":"local","time":1,"timeNano":1000000002}"#
        );
        assert_eq!(serde_json::to_string(&event).unwrap(), want);
        assert_eq!(serde_json::from_str::<Event>(want).unwrap(), event);
        let volume = serde_json::to_string(&Event::volume("create", "data", [("driver", "local")])).unwrap();
        assert!(
            volume.starts_with(r#"{"Type":"volume","Action":"create","Actor":{"ID":"data","#),
            "{volume}"
        );
        let network = Event::network("connect", "n1", "bridge", "bridge", Some("abc"));
        assert_eq!(network.actor.attributes["container"], "abc");
        assert_eq!(Event::image("pull", "alpine", "alpine", &labels).actor.attributes["name"], "alpine");
    }
}

//! The policy's file: the form of containers-policy.json(5), and `pinnedDigests` besides.
//!
//! What is not known is refused, and so are members that come twice: a policy that is read in another way than it was
//! meant could let in what it was to keep out.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{Requirement, SignedBy};
use crate::digest::Digest;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) default: Vec<Requirement>,
    #[serde(default)]
    pub(super) transports: Unique<Unique<Vec<Requirement>>>,
}

/// A map without keys that come twice.
#[derive(Clone, Debug)]
pub(super) struct Unique<V>(pub(super) BTreeMap<String, V>);

impl<V> Default for Unique<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Unique<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, V>()? {
                    if found.contains_key(&key) {
                        return Err(A::Error::custom(format!("{key:?} comes twice")));
                    }
                    found.insert(key, value);
                }
                Ok(Unique(found))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Unique::<Value>::deserialize(deserializer)?.0;
        read(members.into_iter().collect()).map_err(D::Error::custom)
    }
}

fn read(mut members: Map<String, Value>) -> Result<Requirement, String> {
    let Some(Value::String(kind)) = members.remove("type") else {
        return Err("a requirement has no type".to_owned());
    };
    let requirement = match kind.as_str() {
        "insecureAcceptAnything" => Requirement::Accept,
        "reject" => Requirement::Reject,
        "pinnedDigests" => {
            let digests = members.remove("digests").unwrap_or_default();
            let digests: Vec<Digest> = serde_json::from_value(digests)
                .map_err(|error| format!("pinnedDigests: digests: {error}"))?;
            Requirement::Pinned(digests)
        }
        "signedBy" | "sigstoreSigned" => {
            return Ok(Requirement::Signed(SignedBy { kind, members }));
        }
        _ => return Err(format!("{kind:?} is not a type of requirement")),
    };
    match members.keys().next() {
        Some(unknown) => Err(format!("a requirement of type {kind:?} has no {unknown:?}")),
        None => Ok(requirement),
    }
}

//! Archives of `docker save` from before Docker 1.10 (image-spec v1): `repositories` names images by id, and each id is
//! a directory with `json` and `layer.tar`, whose `json` names its parent.
//!
//! Such images have no config of today's form; one is made from the topmost `json`, as Docker's migration did.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Import, docker, parse_config};
use crate::content::StagedBlob;
use crate::digest::{Algorithm, Digest, Hasher, clip};
use crate::layer::decompress;
use crate::reference::Reference;
use crate::source::Source;
use crate::{Error, Result};

/// Members of a v1 `json` that mean nothing in a config.
const DROPPED: [&str; 6] = ["id", "parent", "parent_id", "layer_id", "throwaway", "Size"];

/// An id and its names.
#[derive(Debug)]
pub(crate) struct Candidate {
    names: Vec<Reference>,
    id: String,
}

/// Empty if the source has no `repositories`.
pub(super) fn candidates(source: &mut Source) -> Result<Vec<Candidate>> {
    let Some(bytes) = source.document("repositories")? else { return Ok(Vec::new()) };
    let repositories: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_slice(&bytes).map_err(|error| Error::document("repositories", error))?;
    let mut by_id: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    for (repository, tags) in repositories {
        for (tag, id) in tags {
            by_id.entry(id).or_default().push(format!("{repository}:{tag}").parse()?);
        }
    }
    Ok(by_id.into_iter().map(|(id, names)| Candidate { names, id }).collect())
}

pub(super) fn bring(source: &mut Source, candidate: &Candidate) -> Result<Import> {
    let chain = ancestry(source, &candidate.id)?;
    let (mut layers, mut diff_ids, mut history) = (Vec::new(), Vec::new(), Vec::new());
    let layer_limit = source.limits().archive;
    for (id, description) in &chain {
        let path = format!("{id}/layer.tar");
        let layer = source.blob(&path, Algorithm::Sha256, layer_limit, &format!("layer {:?}", clip(id)))?;
        diff_ids.push(plain_digest(&layer, source.limits().layer)?);
        layers.push(layer);
        history.push(history_of(description));
    }
    let mut config = chain.into_iter().next_back().map(|(_, description)| description).unwrap_or_default();
    config.retain(|key, _| !DROPPED.contains(&key.as_str()));
    for (key, default) in [("architecture", "amd64"), ("os", "linux")] {
        config.entry(key).or_insert_with(|| default.into());
    }
    config.insert("history".into(), history.into());
    config.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diff_ids }));
    let config_bytes = Value::Object(config).to_string().into_bytes();
    let config_blob = source.stage(&config_bytes, "image config")?;
    let (config, _) = parse_config(&config_bytes, &config_blob.digest)?;
    let manifest = source.stage(&docker::make_manifest(&config_blob, &layers)?, "manifest")?;
    let names = candidate.names.clone();
    Ok(Import { names, manifest, config_blob, config_bytes, config, layers, diff_ids })
}

/// The ids from the bottom up, with what their `json` says.
fn ancestry(source: &mut Source, id: &str) -> Result<Vec<(String, Map<String, Value>)>> {
    let mut chain = Vec::new();
    let mut next = Some(id.to_owned());
    while let Some(id) = next {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::document("repositories", format!("{:?} is not an image id", clip(&id))));
        }
        let limit = source.limits().layers;
        if chain.len() >= limit {
            return Err(Error::Limit { what: "the number of layers".to_owned(), limit: limit.to_string() });
        }
        let path = format!("{id}/json");
        let bytes = source.document(&path)?.ok_or_else(|| Error::MissingBlob { what: path.clone() })?;
        let description: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|error| Error::document(&path, error))?;
        next =
            description.get("parent").and_then(Value::as_str).filter(|id| !id.is_empty()).map(String::from);
        chain.push((id, description));
    }
    chain.reverse();
    Ok(chain)
}

fn history_of(description: &Map<String, Value>) -> Value {
    let mut entry = Map::new();
    for key in ["created", "author", "comment"] {
        if let Some(value) = description.get(key).filter(|value| value.is_string()) {
            entry.insert(key.into(), value.clone());
        }
    }
    let command =
        description.get("container_config").and_then(|config| config.get("Cmd")).and_then(Value::as_array);
    if let Some(command) = command {
        let words: Vec<&str> = command.iter().filter_map(Value::as_str).collect();
        entry.insert("created_by".into(), words.join(" ").into());
    }
    Value::Object(entry)
}

/// The digest of a layer's tar without its compression, where nobody says it; at most `limit` bytes of it count.
pub(crate) fn plain_digest(layer: &StagedBlob, limit: u64) -> Result<Digest> {
    use std::io::Read as _;
    let failed = |error| Error::file("read", &layer.path, error);
    let file = std::fs::File::open(&layer.path).map_err(failed)?;
    let mut plain = decompress(std::io::BufReader::new(file)).map_err(Error::Read)?.take(limit);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match plain.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

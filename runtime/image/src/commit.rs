//! `commit`: an image of one more layer than another, from the changes of a container.
//!
//! The layers below are those that the store has, blob for blob; only the new one is written, compressed on its way. An
//! archive without entries makes no layer, as in Docker.

use std::io::{BufReader, Read};

use flate2::Compression;
use flate2::read::GzEncoder;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::content::StagedBlob;
use crate::database;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::import::{Import, make_manifest, parse_config};
use crate::lease::Held;
use crate::reference::Reference;
use crate::rootfs::{Change, Imported};
use crate::store::{Image, Store};
use crate::{Limits, Result, time};

/// What to make of a container's changes.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    pub name: Option<Reference>,
    /// The `config` member as the container had it, of Docker's image config.
    pub config: Map<String, Value>,
    /// On top of it, in their order.
    pub changes: Vec<Change>,
    pub author: String,
    /// The comment in the image's history.
    pub message: String,
    /// The container's command, for the history.
    pub created_by: String,
    pub limits: Limits,
}

impl Store {
    /// Makes an image of `parent` and a layer, whose tar comes without compression.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`] if the parent was removed; those of the layer as of one that is loaded.
    pub fn commit(
        &self,
        conn: &Connection,
        parent: &Image,
        layer: &mut (dyn Read + Send),
        options: &CommitOptions,
    ) -> Result<Imported> {
        self.make_directories()?;
        self.sweep()?;
        self.expire(conn)?;
        let below = database::layers(conn, &parent.manifest)?;
        let blobs = below.iter().map(|layer| layer.blob.clone()).collect();
        // Until the new image holds them; first the lease, then the look whether they are there.
        let _lease = self.lease(Held { blobs, layers: parent.chain_ids.clone() })?;
        self.confirm(conn, &parent.manifest)?;
        let limits = &options.limits;
        let mut staging = self.content.stage()?;
        let mut plain = Plain { inner: layer, hasher: Hasher::new(Algorithm::Sha256), blank: true };
        let packed = {
            let mut gzip =
                GzEncoder::new(BufReader::with_capacity(BUFFER, &mut plain), Compression::default());
            staging.write(&mut gzip, Algorithm::Sha256, limits.archive, "the new layer")?
        };
        let mut layers: Vec<StagedBlob> = below
            .iter()
            .map(|layer| StagedBlob {
                path: self.content.path(&layer.blob),
                digest: layer.blob.clone(),
                size: layer.blob_size,
            })
            .collect();
        let mut diff_ids: Vec<Digest> = below.into_iter().map(|layer| layer.diff_id).collect();
        let is_empty = plain.blank;
        if !is_empty {
            layers.push(packed);
            diff_ids.push(plain.hasher.finish());
        }
        let config_bytes = config(parent, options, &diff_ids, is_empty)?.to_string().into_bytes();
        let mut stage =
            |bytes: &[u8], what: &str| staging.write(&mut &*bytes, Algorithm::Sha256, limits.document, what);
        let config_blob = stage(&config_bytes, "image config")?;
        let (config, _) = parse_config(&config_bytes, &config_blob.digest)?;
        let manifest = stage(&make_manifest(&config_blob, &layers)?, "manifest")?;
        let names = options.name.iter().cloned().collect();
        let import = Import { names, manifest, config_blob, config_bytes, config, layers, diff_ids };
        let id = import.config_blob.digest.clone();
        let loaded = self.add(conn, &import, limits, &mut |_| {})?;
        Ok(Imported { id, replaced: loaded.into_iter().find_map(|loaded| loaded.replaced) })
    }
}

const BUFFER: usize = 128 << 10;

/// Hashes a tar on its way, and tells whether it has anything but its end.
struct Plain<'a> {
    inner: &'a mut (dyn Read + Send),
    hasher: Hasher,
    blank: bool,
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        self.hasher.update(bytes);
        self.blank &= bytes.iter().all(|byte| *byte == 0);
        Ok(count)
    }
}

/// The parent's config with what is new; members that nobody here knows stay.
fn config(parent: &Image, options: &CommitOptions, diff_ids: &[Digest], is_empty: bool) -> Result<Value> {
    let mut whole: Map<String, Value> = serde_json::from_slice(&parent.raw_config)
        .map_err(|error| crate::Error::document("image config", error))?;
    // What Docker said of the container that the parent was made of.
    for member in ["container", "container_config", "docker_version", "id", "parent"] {
        whole.remove(member);
    }
    let created = time::format(time::now());
    let mut container = options.config.clone();
    Change::apply_all(&options.changes, &mut container);
    let mut entry = Map::new();
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() {
            entry.insert(key.to_owned(), value.into());
        }
    };
    add("created", &created);
    add("author", &options.author);
    add("created_by", &options.created_by);
    add("comment", &options.message);
    if is_empty {
        entry.insert("empty_layer".to_owned(), true.into());
    }
    let mut history = match whole.remove("history") {
        Some(Value::Array(history)) => history,
        _ => Vec::new(),
    };
    // Entries belong to layers by their order: those that the parent says nothing about have one that says nothing.
    let is_layer = |entry: &&Value| entry.get("empty_layer").and_then(Value::as_bool) != Some(true);
    for _ in history.iter().filter(is_layer).count()..parent.chain_ids.len() {
        history.push(json!({}));
    }
    history.push(entry.into());
    whole.remove("author");
    if !options.author.is_empty() {
        whole.insert("author".to_owned(), options.author.clone().into());
    }
    whole.insert("created".to_owned(), created.into());
    whole.insert("config".to_owned(), container.into());
    whole.insert("history".to_owned(), history.into());
    whole.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
    Ok(whole.into())
}

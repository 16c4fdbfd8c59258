//! `import`: an image of one layer from the tar of a root file system.

mod apply;
mod change;
mod healthcheck;
mod word;

use std::io::Read;

use rusqlite::Connection;
use serde_json::{Map, Value, json};

pub use self::change::Change;
use crate::digest::{Algorithm, Digest};
use crate::import::{Import, make_manifest, parse_config, plain_digest};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::Store;
use crate::{Limits, Result, time};

/// What to make of a root file system.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    pub name: Option<Reference>,
    /// In their order, later ones on top of earlier ones.
    pub changes: Vec<Change>,
    /// The comment in the image's history (`Imported from -`).
    pub message: String,
    /// This machine's by default.
    pub platform: Option<Platform>,
    pub limits: Limits,
}

/// An imported image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub id: Digest,
    /// The manifest of the image that had the name before.
    pub replaced: Option<Digest>,
}

impl Store {
    /// Makes an image of a tar, plain or compressed with gzip or zstd, which becomes its one layer as it is.
    pub fn import(
        &self,
        conn: &Connection,
        source: &mut (dyn Read + Send),
        options: &ImportOptions,
        progress: &mut dyn FnMut(crate::Progress),
    ) -> Result<Imported> {
        self.make_directories()?;
        self.sweep()?;
        self.expire(conn)?;
        let limits = &options.limits;
        let mut staging = self.content.stage()?;
        let layer = staging.write(source, Algorithm::Sha256, limits.archive, "the root file system")?;
        let diff_id = plain_digest(&layer, limits.layer)?;
        let config_bytes = config(options, &diff_id).to_string().into_bytes();
        let mut stage =
            |bytes: &[u8], what: &str| staging.write(&mut &*bytes, Algorithm::Sha256, limits.document, what);
        let config_blob = stage(&config_bytes, "image config")?;
        let (config, _) = parse_config(&config_bytes, &config_blob.digest)?;
        let layers = vec![layer];
        let manifest = stage(&make_manifest(&config_blob, &layers)?, "manifest")?;
        let import = Import {
            names: options.name.iter().cloned().collect(),
            manifest,
            config_blob,
            config_bytes,
            config,
            layers,
            diff_ids: vec![diff_id],
        };
        let id = import.config_blob.digest.clone();
        let loaded = self.add(conn, &import, limits, progress)?;
        Ok(Imported { id, replaced: loaded.into_iter().find_map(|loaded| loaded.replaced) })
    }
}

fn config(options: &ImportOptions, diff_id: &Digest) -> Value {
    let host = Platform::host();
    let platform = options.platform.as_ref().unwrap_or(&host);
    let created = time::format(time::now());
    let mut container = Map::new();
    Change::apply_all(&options.changes, &mut container);
    let mut config = json!({
        "created": created,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": container,
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": created, "comment": options.message }],
    });
    if let Some(variant) = &platform.variant {
        config["variant"] = variant.clone().into();
    }
    config
}

//! Archives of `docker save` (moby, image/tarexport): `manifest.json` lists the images with their config, names and
//! layers. They have no image manifest; an OCI one is made, the same for the same archive.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Import, diff_ids, parse_config};
use crate::content::StagedBlob;
use crate::digest::{Algorithm, Digest, clip};
use crate::reference::Reference;
use crate::source::Source;
use crate::{Error, Result};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Entry {
    /// Tells by the config's file name: `<hex>.json`, or `blobs/sha256/<hex>`.
    pub(super) fn is_config(&self, digest: &Digest) -> bool {
        file_digest(&self.config).is_some_and(|found| found == *digest)
    }

    pub(super) fn names(&self) -> Result<Vec<Reference>> {
        self.repo_tags.iter().flatten().map(|name| name.parse()).collect()
    }
}

/// Empty if the source is no docker archive.
pub(super) fn entries(source: &mut Source) -> Result<Vec<Entry>> {
    let Some(bytes) = source.document("manifest.json")? else { return Ok(Vec::new()) };
    let entries: Vec<Entry> =
        serde_json::from_slice(&bytes).map_err(|error| Error::document("manifest.json", error))?;
    Ok(entries)
}

pub(super) fn bring(source: &mut Source, entry: &Entry) -> Result<Import> {
    let limit = source.limits().document;
    let what = format!("image config {:?}", clip(&entry.config));
    let mut config_blob = source.blob(&entry.config, Algorithm::Sha256, limit, &what)?;
    if let Some(digest) = file_digest(&entry.config) {
        config_blob = config_blob.expect(&digest, None, &what)?;
    }
    let config_bytes = config_blob.read(limit, &what)?;
    let (config, what) = parse_config(&config_bytes, &config_blob.digest)?;
    let paths = entry.layers.as_deref().unwrap_or_default();
    let diff_ids = diff_ids(source.limits(), &config, paths.len(), &what)?;
    let mut layers = Vec::with_capacity(paths.len());
    let archive_limit = source.limits().archive;
    for path in paths {
        let what = format!("layer {:?}", clip(path));
        layers.push(source.blob(path, Algorithm::Sha256, archive_limit, &what)?);
    }
    let names = entry.names()?;
    let manifest = source.stage(&make_manifest(&config_blob, &layers)?, "manifest")?;
    Ok(Import { names, manifest, config_blob, config_bytes, config, layers, diff_ids })
}

/// An OCI manifest for blobs that came without one.
pub(crate) fn make_manifest(config: &StagedBlob, layers: &[StagedBlob]) -> Result<Vec<u8>> {
    let descriptor = |media_type: &str, blob: &StagedBlob| json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.size });
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            let start = first_bytes(layer)?;
            let compression = if start.starts_with(GZIP) {
                "+gzip"
            } else if start.starts_with(ZSTD) {
                "+zstd"
            } else {
                ""
            };
            Ok(descriptor(&format!("application/vnd.oci.image.layer.v1.tar{compression}"), layer))
        })
        .collect::<Result<_>>()?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": layers,
    });
    Ok(manifest.to_string().into_bytes())
}

fn first_bytes(blob: &StagedBlob) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut start = Vec::new();
    std::fs::File::open(&blob.path)
        .and_then(|file| file.take(4).read_to_end(&mut start))
        .map_err(|error| Error::file("read", &blob.path, error))?;
    Ok(start)
}

/// The digest in a file's name, if it has the form of one.
fn file_digest(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next()?;
    format!("sha256:{}", name.strip_suffix(".json").unwrap_or(name)).parse().ok()
}

//! The archive of `docker save` before version 25 (moby, image/spec/v1.2.md): `manifest.json`, one config per image, and
//! layers as plain tars, whose digests are those that the config lists. Tools that look into layers rely on that.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use serde_json::{Value, json};

use super::Chosen;
use super::archive::Archive;
use crate::content::ContentStore;
use crate::database::StoredLayer;
use crate::digest::Digest;
use crate::layer::decompress;
use crate::reference::Reference;
use crate::{Error, Result};

const BUFFER: usize = 256 << 10;

pub(super) fn write(content: &ContentStore, images: &[Chosen], archive: &mut Archive<'_>) -> Result<()> {
    let mut layers: BTreeMap<&Digest, &StoredLayer> = BTreeMap::new();
    let mut configs: BTreeMap<&Digest, u64> = BTreeMap::new();
    for image in images {
        let missing = || Error::MissingBlob { what: format!("config {} of an image", image.id) };
        configs.insert(&image.id, content.size(&image.id).ok_or_else(missing)?);
        layers.extend(image.layers.iter().map(|layer| (&layer.diff_id, layer)));
    }
    for (id, size) in configs {
        archive.file(&format!("{}.json", id.hex()), size, &mut content.open_verified(id)?)?;
    }
    for (diff_id, layer) in layers {
        archive.directory(diff_id.hex())?;
        // A tar says how long a member is before the member comes, so the layer is decompressed twice.
        let size = std::io::copy(&mut plain(content, layer)?, &mut std::io::sink()).map_err(Error::Read)?;
        archive.file(&path(diff_id), size, &mut plain(content, layer)?)?;
    }
    let entries: Vec<Value> = images
        .iter()
        .map(|image| {
            let layers: Vec<String> = image.layers.iter().map(|layer| path(&layer.diff_id)).collect();
            json!({ "Config": format!("{}.json", image.id.hex()), "RepoTags": tags(image), "Layers": layers })
        })
        .collect();
    archive.bytes("manifest.json", Value::Array(entries).to_string().as_bytes())
}

/// Names as in `manifest.json`: `null` if there are none.
pub(super) fn tags(image: &Chosen) -> Option<Vec<String>> {
    (!image.names.is_empty()).then(|| image.names.iter().map(Reference::familiar).collect())
}

fn path(diff_id: &Digest) -> String {
    format!("{}/layer.tar", diff_id.hex())
}

/// A layer's content without its compression.
fn plain(content: &ContentStore, layer: &StoredLayer) -> Result<Box<dyn Read + Send>> {
    let blob = BufReader::with_capacity(BUFFER, content.open_verified(&layer.blob)?);
    decompress(blob).map_err(Error::Read)
}

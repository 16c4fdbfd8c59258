//! An OCI image layout (image-spec, image-layout.md) that is a docker archive at once.
//!
//! Layers stay compressed as they are: Docker, podman and skopeo decompress what a docker archive's `manifest.json` names,
//! whatever the name of the file says.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Chosen;
use super::archive::Archive;
use crate::content::ContentStore;
use crate::digest::Digest;
use crate::document::{self, IMAGE_NAME, REF_NAME};
use crate::platform::Platform;
use crate::{Error, Result};

/// Bytes of a document; it was within this when it came.
const DOCUMENT: u64 = 64 << 20;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) fn write(content: &ContentStore, images: &[Chosen], archive: &mut Archive<'_>) -> Result<()> {
    let mut blobs: BTreeMap<Digest, u64> = BTreeMap::new();
    let (mut descriptors, mut entries) = (Vec::new(), Vec::new());
    for image in images {
        for blob in image.layers.iter().map(|layer| &layer.blob).chain([&image.manifest, &image.id]) {
            let missing = || Error::MissingBlob { what: format!("blob {blob} of image {}", image.id) };
            blobs.insert(blob.clone(), content.size(blob).ok_or_else(missing)?);
        }
        descriptors.extend(describe(content, image)?);
        entries.push(entry(image));
    }
    archive.directory("blobs")?;
    let mut algorithm = "";
    for (digest, size) in &blobs {
        if digest.algorithm().name() != algorithm {
            algorithm = digest.algorithm().name();
            archive.directory(&format!("blobs/{algorithm}"))?;
        }
        archive.file(&path(digest), *size, &mut content.open_verified(digest)?)?;
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors });
    archive.bytes("index.json", index.to_string().as_bytes())?;
    archive.bytes("manifest.json", Value::Array(entries).to_string().as_bytes())?;
    archive.bytes("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// One descriptor per name, or one without a name.
fn describe(content: &ContentStore, image: &Chosen) -> Result<Vec<Value>> {
    let bytes = content.read(&image.manifest, DOCUMENT)?;
    let what = format!("manifest {}", image.manifest);
    let media_type = document::manifest_media_type(&bytes, &what)?;
    let config = content.read(&image.id, DOCUMENT)?;
    let config = document::parse_config(&config, &format!("image config {}", image.id))?;
    let platform = Platform::of(&config);
    let mut shown = json!({ "architecture": platform.architecture, "os": platform.os });
    if let Some(variant) = platform.variant {
        shown["variant"] = variant.into();
    }
    let plain = json!({
        "mediaType": media_type, "digest": image.manifest, "size": bytes.len(), "platform": shown,
    });
    if image.names.is_empty() {
        return Ok(vec![plain]);
    }
    let named = image.names.iter().map(|name| {
        let mut annotations = Map::new();
        annotations.insert(IMAGE_NAME.to_owned(), name.to_string().into());
        annotations.insert(REF_NAME.to_owned(), name.tag().unwrap_or_default().into());
        let mut descriptor = plain.clone();
        descriptor["annotations"] = annotations.into();
        descriptor
    });
    Ok(named.collect())
}

/// The image in the docker archive's `manifest.json`.
fn entry(image: &Chosen) -> Value {
    let layers: Vec<String> = image.layers.iter().map(|layer| path(&layer.blob)).collect();
    json!({ "Config": path(&image.id), "RepoTags": super::docker::tags(image), "Layers": layers })
}

fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

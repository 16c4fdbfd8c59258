//! The JSON documents of images: index, manifest, config (OCI image-spec and Docker's schema 2, which has the
//! same members).
//!
//! Documents come from outside. Unknown members are ignored as the specification demands, but a document that can be
//! read in two ways is refused (CVE-2021-41190), and so is one that is not of a container image.

use std::collections::BTreeMap;

use oci_spec::image::ImageConfiguration;
use serde::Deserialize;
use serde_json::Value;

use crate::digest::{Digest, clip};
use crate::platform::Platform;
use crate::{Error, Result};

/// The name of an image in an index, containerd's way: the whole reference.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";
/// The name of an image in an index, OCI's way: a tag or a reference.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Marks manifests that describe another one (attestations) rather than an image.
const DOCKER_REFERENCE_TYPE: &str = "vnd.docker.reference.type";

const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// The last one was written by old versions of Docker.
const CONFIG_TYPES: [&str; 3] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
];

/// A pointer to content (OCI image-spec, descriptor.md).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) platform: Option<Platform>,
    /// Where else the content is.
    #[serde(default)]
    pub(crate) urls: Option<Vec<String>>,
}

impl Descriptor {
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// True for what accompanies images in an index without being one.
    pub(crate) fn is_attachment(&self) -> bool {
        self.annotation(DOCKER_REFERENCE_TYPE).is_some()
            || self.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
    }
}

/// What a digest in an index led to.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Manifest),
}

/// An image manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default, rename = "fsLayers")]
    fs_layers: Option<Value>,
}

/// Reads an index or a manifest; `media_type` is what the descriptor that led here says, `what` names the document.
pub(crate) fn parse(bytes: &[u8], media_type: &str, what: &str) -> Result<Document> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| Error::document(what, error))?;
    let invalid = |reason: &str| Err(Error::document(what, reason));
    if raw.schema_version == 1 || raw.fs_layers.is_some() {
        return invalid("it is of Docker's schema 1, which no current tool writes; convert the image to OCI");
    }
    if raw.schema_version != 2 {
        return invalid(&format!("schemaVersion {} is unknown", raw.schema_version));
    }
    let own_type = raw.media_type.as_deref().unwrap_or("");
    if !own_type.is_empty() && !media_type.is_empty() && own_type != media_type {
        return invalid(&format!(
            "it calls itself {:?}, its descriptor calls it {:?}",
            clip(own_type),
            clip(media_type)
        ));
    }
    let declared = if own_type.is_empty() { media_type } else { own_type };
    match (raw.manifests, raw.config, raw.layers) {
        (Some(manifests), None, None) if declared.is_empty() || INDEX_TYPES.contains(&declared) => {
            Ok(Document::Index(manifests))
        }
        (None, Some(config), layers) if declared.is_empty() || MANIFEST_TYPES.contains(&declared) => {
            if !CONFIG_TYPES.contains(&config.media_type.as_str()) {
                return invalid(&format!(
                    "it is not of a container image: its config is {:?}",
                    config.media_type
                ));
            }
            Ok(Document::Manifest(Manifest { config, layers: layers.unwrap_or_default() }))
        }
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            invalid("it is an index and a manifest at once, so its meaning depends on the reader")
        }
        _ => invalid(&format!("{:?} is not a type of image manifest or index", clip(declared))),
    }
}

/// What a manifest of the store is to be called towards a registry: what it calls itself, or what its config tells.
pub(crate) fn manifest_media_type(bytes: &[u8], what: &str) -> Result<String> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| Error::document(what, error))?;
    let docker = raw.config.is_some_and(|config| config.media_type == CONFIG_TYPES[1]);
    let [oci_type, docker_type] = MANIFEST_TYPES;
    let implied = if docker { docker_type } else { oci_type };
    Ok(raw.media_type.filter(|own| !own.is_empty()).unwrap_or_else(|| implied.to_owned()))
}

/// Refuses layer types that cannot be unpacked, with the reason.
pub(crate) fn check_layer_type(descriptor: &Descriptor) -> Result<()> {
    let media_type = descriptor.media_type.as_str();
    let invalid = |reason: &str| {
        let what = format!("layer {}", descriptor.digest);
        Err(Error::document(&what, format!("{reason} ({:?})", clip(media_type))))
    };
    if media_type.ends_with("+encrypted") {
        return invalid("it is encrypted");
    }
    let oci = media_type
        .strip_prefix("application/vnd.oci.image.layer.v1.tar")
        .or_else(|| media_type.strip_prefix("application/vnd.oci.image.layer.nondistributable.v1.tar"));
    let docker = media_type
        .strip_prefix("application/vnd.docker.image.rootfs.diff.tar")
        .or_else(|| media_type.strip_prefix("application/vnd.docker.image.rootfs.foreign.diff.tar"));
    match (oci, docker) {
        (Some("" | "+gzip" | "+zstd"), _) | (_, Some("" | ".gzip" | ".zstd")) => Ok(()),
        _ => invalid("its type is not one of a file system layer"),
    }
}

/// Refuses layers that registries do not have, because their licence lets them come from one place only.
pub(crate) fn check_distributable(descriptor: &Descriptor) -> Result<()> {
    let media_type = descriptor.media_type.as_str();
    if !(media_type.contains(".nondistributable.") || media_type.contains(".foreign.")) {
        return Ok(());
    }
    let place = match descriptor.urls.as_deref().unwrap_or_default() {
        [] => "a place that the manifest does not name".to_owned(),
        [url, ..] => clip(url),
    };
    Err(Error::ForeignLayer { layer: descriptor.digest.clone(), media_type: clip(media_type), place })
}

/// Reads an image config.
///
/// Go writes empty lists as `null`, and old tools wrote more of them than the specification allows: where the strict
/// reading fails, all `null` members are dropped first.
pub(crate) fn parse_config(bytes: &[u8], what: &str) -> Result<ImageConfiguration> {
    match serde_json::from_slice(bytes) {
        Ok(config) => Ok(config),
        Err(first) => {
            let mut value: Value =
                serde_json::from_slice(bytes).map_err(|error| Error::document(what, error))?;
            drop_nulls(&mut value);
            if let Some(rootfs) = value.get_mut("rootfs").and_then(Value::as_object_mut) {
                rootfs.entry("diff_ids").or_insert_with(|| Value::Array(Vec::new()));
            }
            serde_json::from_value(value).map_err(|_| Error::document(what, first))
        }
    }
}

/// A config's labels; none if it is not what it should be.
pub(crate) fn labels(config: &[u8]) -> BTreeMap<String, String> {
    #[derive(Deserialize, Default)]
    struct Outer {
        #[serde(default)]
        config: Option<Inner>,
    }
    #[derive(Deserialize, Default)]
    struct Inner {
        #[serde(default, rename = "Labels")]
        labels: Option<BTreeMap<String, String>>,
    }
    let outer: Outer = serde_json::from_slice(config).unwrap_or_default();
    outer.config.and_then(|inner| inner.labels).unwrap_or_default()
}

/// serde_json refuses documents nested deeper than 128, so the recursion is bounded.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{D}","size":3}}"#)
    }

    fn manifest(extra: &str) -> String {
        let config = descriptor(CONFIG_TYPES[0]);
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]{extra}}}"#)
    }

    fn reason(text: &str, media_type: &str) -> String {
        parse(text.as_bytes(), media_type, "manifest").unwrap_err().to_string()
    }

    #[test]
    fn tells_manifest_and_index_apart() {
        assert!(matches!(parse(manifest("").as_bytes(), "", "m"), Ok(Document::Manifest(_))));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor(MANIFEST_TYPES[1]));
        assert!(
            matches!(parse(index.as_bytes(), INDEX_TYPES[1], "i"), Ok(Document::Index(list)) if list.len() == 1)
        );
    }

    #[test]
    fn refuses_two_meanings() {
        assert!(reason(&manifest(r#","manifests":[]"#), "").contains("at once"));
        assert!(
            reason(&manifest(r#","mediaType":"application/vnd.oci.image.index.v1+json""#), "")
                .contains("not a type")
        );
        assert!(
            reason(&manifest(&format!(r#","mediaType":"{}""#, MANIFEST_TYPES[0])), MANIFEST_TYPES[1])
                .contains("calls itself")
        );
        assert!(reason(&manifest(r#","layers":[]"#), "").contains("duplicate field"));
    }

    #[test]
    fn refuses_what_is_no_container_image() {
        let chart = manifest("").replace(CONFIG_TYPES[0], "application/vnd.cncf.helm.config.v1+json");
        assert!(reason(&chart, "").contains("not of a container image"));
        assert!(reason(r#"{"schemaVersion":1,"fsLayers":[]}"#, "").contains("schema 1"));
        assert!(reason(r#"{"schemaVersion":2}"#, "").contains("not a type"));
        assert!(reason("[]", "").contains("invalid manifest"));
        assert!(reason(&manifest("").replace(":3}", ":-3}"), "").contains("invalid value"));
    }

    #[test]
    fn layer_types() {
        for (media_type, accepted) in [
            ("application/vnd.oci.image.layer.v1.tar", true),
            ("application/vnd.oci.image.layer.v1.tar+zstd", true),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", true),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", false),
            ("application/vnd.in-toto+json", false),
            ("", false),
        ] {
            let descriptor: Descriptor = serde_json::from_str(&descriptor(media_type)).unwrap();
            assert_eq!(check_layer_type(&descriptor).is_ok(), accepted, "{media_type:?}");
        }
    }

    #[test]
    fn config_survives_the_nulls_of_go() {
        let config = parse_config(
            br#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"Labels":null},
                 "rootfs":{"type":"layers","diff_ids":null},"history":[{"created":null}]}"#,
            "config",
        )
        .unwrap();
        assert_eq!(config.config().as_ref().unwrap().cmd().as_ref().unwrap(), &["sh"]);
        assert!(config.rootfs().diff_ids().is_empty());
        assert!(parse_config(br#"{"os":"linux"}"#, "config").is_err());
    }
}

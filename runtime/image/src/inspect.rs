//! `image inspect`: everything about one image, in the members of Docker's API.

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::reference::Reference;
use crate::store::{Image, Store};
use crate::{Result, database, document, time};

/// Bytes of a manifest; it was within this when it came.
const DOCUMENT: u64 = 64 << 20;

/// An image as `image inspect` shows it; as JSON it has Docker's members in Docker's order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspection {
    pub id: Digest,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// As the config has it; empty if it does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// The config's `config` member as it is.
    pub config: Value,
    pub architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    pub os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Bytes of the files of all layers.
    pub size: u64,
    pub graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    pub metadata: Metadata,
    pub descriptor: DescriptorData,
}

/// Where the layers are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriver {
    pub data: GraphDriverData,
    pub name: &'static str,
}

/// overlayfs' directories of the image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriverData {
    /// Below the top-most layer, separated by colons, top-most first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lower_dir: String,
    pub upper_dir: String,
}

/// The digests of the layers' uncompressed content, bottom first.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Digest>,
}

/// What the store itself knows.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    /// RFC 3339; Go's zero time if the image has no name.
    pub last_tag_time: String,
}

/// The image's manifest.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescriptorData {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
}

impl Store {
    pub fn inspect(&self, conn: &Connection, image: &Image) -> Result<Inspection> {
        let what = format!("image config {}", image.id);
        let raw: Value = serde_json::from_slice(&image.raw_config)
            .map_err(|error| crate::Error::document(&what, error))?;
        let text = |member: &str| raw.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        let last_step = raw.get("history").and_then(Value::as_array).and_then(|steps| steps.last());
        let comment = last_step.and_then(|step| step.get("comment")).and_then(Value::as_str);
        let familiar = |names: Vec<Reference>| names.iter().map(Reference::familiar).collect();
        let tagged = database::last_tagged(conn, &image.manifest)?;
        Ok(Inspection {
            id: image.id.clone(),
            repo_tags: familiar(image.names.clone()),
            repo_digests: familiar(database::digests(conn, &image.manifest)?),
            comment: comment.unwrap_or_default().to_owned(),
            created: text("created"),
            author: text("author"),
            config: raw.get("config").cloned().unwrap_or(Value::Null),
            architecture: text("architecture"),
            variant: text("variant"),
            os: text("os"),
            os_version: text("os.version"),
            size: image.size,
            graph_driver: graph_driver(image),
            root_fs: RootFs {
                kind: "layers",
                layers: image
                    .config
                    .rootfs()
                    .diff_ids()
                    .iter()
                    .map(|id| id.parse())
                    .collect::<Result<_>>()?,
            },
            metadata: Metadata {
                last_tag_time: tagged.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), time::format),
            },
            descriptor: self.descriptor(&image.manifest)?,
        })
    }

    fn descriptor(&self, manifest: &Digest) -> Result<DescriptorData> {
        let bytes = self.content.read(manifest, DOCUMENT)?;
        let media_type = document::manifest_media_type(&bytes, &format!("manifest {manifest}"))?;
        Ok(DescriptorData { media_type, digest: manifest.clone(), size: bytes.len() as u64 })
    }
}

fn graph_driver(image: &Image) -> GraphDriver {
    let mut directories = image.layer_dirs.iter().rev().map(|path| path.display().to_string());
    let upper_dir = directories.next().unwrap_or_default();
    let lower_dir = directories.collect::<Vec<_>>().join(":");
    GraphDriver { data: GraphDriverData { lower_dir, upper_dir }, name: "overlay2" }
}

//! `image inspect`: everything about one image, in the members of Docker's API.

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;

use crate::Result;
use crate::digest::Digest;
use crate::store::{Image, Store};

/// An image as `image inspect` shows it; as JSON it has Docker's members in Docker's order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspection {
    pub id: Digest,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub comment: String,
    /// As the config has it; empty if it does not say.
    pub created: String,
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
        let _ = (conn, image);
        crate::error::in_the_making("inspect")
    }
}

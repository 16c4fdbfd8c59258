//! What a container takes from its image.

use std::collections::HashMap;
use std::path::PathBuf;

use sandbox_image::{Digest, Image};

use crate::health::Wish;

/// The parts of an image's configuration that a container starts from. Everything in it is the image's word.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// `sha256:<hex>` of the configuration: the image's id.
    pub id: String,
    /// The manifest, by which the store knows the image; `None` for what is in no store.
    pub manifest: Option<Digest>,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub working_dir: Option<String>,
    pub user: String,
    pub volumes: Vec<String>,
    pub stop_signal: Option<String>,
    pub health: Option<Wish>,
    pub labels: HashMap<String, String>,
    /// Unpacked layers, top-most first.
    pub layers: Vec<PathBuf>,
}

impl From<&Image> for Defaults {
    fn from(image: &Image) -> Defaults {
        let config = image.config.config().clone().unwrap_or_default();
        Defaults {
            id: image.id.to_string(),
            manifest: Some(image.manifest.clone()),
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            command: config.cmd().clone().unwrap_or_default(),
            env: config.env().clone().unwrap_or_default(),
            working_dir: config.working_dir().clone(),
            user: config.user().clone().unwrap_or_default(),
            volumes: config.volumes().clone().unwrap_or_default(),
            stop_signal: config.stop_signal().clone(),
            health: Wish::of_image(&image.raw_config),
            labels: config.labels().clone().unwrap_or_default(),
            layers: image.layer_dirs.iter().rev().cloned().collect(),
        }
    }
}

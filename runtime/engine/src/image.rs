//! What a container takes from its image, and the engine's doors to the image store.

use std::collections::HashMap;
use std::path::PathBuf;

use sandbox_image::{
    DEFAULT_IMAGE, Image, Input, ListedImage, LoadOptions, Loaded, Progress, Reference, Store,
};

use crate::engine::Engine;
use crate::error::{Error, Result};

/// The parts of an image's configuration that a container starts from. Everything in it is the image's word.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// `sha256:<hex>` of the configuration: the image's id.
    pub id: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub working_dir: Option<String>,
    pub user: String,
    pub volumes: Vec<String>,
    pub stop_signal: Option<String>,
    pub labels: HashMap<String, String>,
    /// Unpacked layers, top-most first.
    pub layers: Vec<PathBuf>,
}

impl From<&Image> for Defaults {
    fn from(image: &Image) -> Defaults {
        let config = image.config.config().clone().unwrap_or_default();
        Defaults {
            id: image.id.to_string(),
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            command: config.cmd().clone().unwrap_or_default(),
            env: config.env().clone().unwrap_or_default(),
            working_dir: config.working_dir().clone(),
            user: config.user().clone().unwrap_or_default(),
            volumes: config.volumes().clone().unwrap_or_default(),
            stop_signal: config.stop_signal().clone(),
            labels: config.labels().clone().unwrap_or_default(),
            layers: image.layer_dirs.iter().rev().cloned().collect(),
        }
    }
}

impl Engine {
    /// The image of that name or id. The embedded image is loaded when it is asked for the first time.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`].
    pub fn image(&self, name: &str) -> Result<Image> {
        let store = self.store()?;
        match store.resolve(&self.connection, name) {
            Err(sandbox_image::Error::NoSuchImage(_)) if is_default(name) => {
                store.ensure_default(&self.connection, &self.installation.default_image()?)?;
                Ok(store.resolve(&self.connection, name)?)
            }
            Err(sandbox_image::Error::NoSuchImage(name)) => Err(Error::NoSuchImage(name)),
            other => Ok(other?),
        }
    }

    /// All images, newest first.
    pub fn images(&self) -> Result<Vec<ListedImage>> {
        Ok(self.store()?.list(&self.connection)?)
    }

    /// Loads the images of an archive or directory.
    pub fn load(
        &self,
        input: Input<'_>,
        options: &LoadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Loaded>> {
        Ok(self.store()?.load(&self.connection, input, options, progress)?)
    }

    fn store(&self) -> Result<Store> {
        Ok(Store::open(&self.paths.root)?)
    }
}

fn is_default(name: &str) -> bool {
    let same = |a: &Reference, b: &Reference| a.to_string() == b.to_string();
    match (name.parse::<Reference>(), DEFAULT_IMAGE.parse::<Reference>()) {
        (Ok(asked), Ok(default)) => same(&asked, &default),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_image_by_its_names() {
        assert!(is_default("localhost/busybox"));
        assert!(is_default("localhost/busybox:latest"));
        assert!(!is_default("busybox"));
        assert!(!is_default("localhost/busybox:1"));
    }
}

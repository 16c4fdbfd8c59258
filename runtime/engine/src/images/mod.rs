//! The engine's doors to the image store, and what only the engine knows of images: which containers use them, and
//! which registries to speak to how.

mod filter;
mod pattern;
mod removal;
mod transfer;

use std::io::{Read, Write};

use sandbox_image::{
    DEFAULT_IMAGE, HistoryEntry, Image, ImportOptions, Imported, Input, Inspection, ListedImage, LoadOptions,
    Loaded, Platform, Progress, Reference, SaveFormat, Store,
};

use crate::engine::Engine;
use crate::error::{Error, Result};

pub use filter::{ImageFilter, prune_options};
pub use transfer::Registries;

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
            other => Ok(other?),
        }
    }

    /// The image of that name, if it is for `platform`.
    pub fn image_for(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        let image = self.image(name)?;
        match platform {
            Some(wanted) => on_platform(name, image, wanted),
            None => Ok(image),
        }
    }

    /// The images that the filter lets through, newest first.
    pub fn images(&self, filter: &ImageFilter) -> Result<Vec<ListedImage>> {
        let mut images = self.store()?.list(&self.connection)?;
        images.retain(|image| filter.matches(image));
        Ok(images)
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

    /// Makes an image of one layer from the tar of a root file system.
    pub fn import(&self, source: &mut (dyn Read + Send), options: &ImportOptions) -> Result<Imported> {
        Ok(self.store()?.import(&self.connection, source, options, &mut |_| {})?)
    }

    /// Writes images as an archive.
    pub fn save(&self, names: &[String], format: SaveFormat, out: &mut dyn Write) -> Result<()> {
        Ok(self.store()?.save(&self.connection, names, format, out)?)
    }

    /// Gives an image one more name.
    pub fn tag(&self, source: &str, target: &str) -> Result<()> {
        let target: Reference = target.parse()?;
        if target.digest().is_some() {
            return Err(Error::invalid("refusing to create a tag with a digest reference"));
        }
        let image = self.image(source)?;
        self.store()?.tag(&self.connection, &image, &target)?;
        Ok(())
    }

    /// How an image came to be, the newest step first.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryEntry>> {
        let image = self.image(name)?;
        Ok(self.store()?.history(&self.connection, &image)?)
    }

    /// Everything about an image.
    pub fn inspect_image(&self, name: &str) -> Result<Inspection> {
        let image = self.image(name)?;
        Ok(self.store()?.inspect(&self.connection, &image)?)
    }

    pub(crate) fn store(&self) -> Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open(&self.paths.root)?;
        Ok(self.store.get_or_init(|| store))
    }
}

/// The image, if it is for the platform.
fn on_platform(name: &str, image: Image, wanted: &Platform) -> Result<Image> {
    let actual = Platform::of(&image.config);
    if wanted.serves(&actual) {
        return Ok(image);
    }
    Err(sandbox_image::Error::WrongPlatform {
        reference: name.to_owned(),
        wanted: wanted.to_string(),
        actual: actual.to_string(),
    }
    .into())
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

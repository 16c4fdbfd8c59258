//! Removal of images, and how much of the disk they take: both depend on the containers.

use sandbox_image::{Digest, ImageUser, PruneOptions, Pruned, RemoveOptions, Removed, Usage};

use crate::engine::Engine;
use crate::error::Result;
use crate::state::containers;

impl Engine {
    /// Removes a name or an image, unless a container is in the way.
    pub fn remove_image(&self, name: &str, options: RemoveOptions) -> Result<Vec<Removed>> {
        Ok(self.store()?.remove(&self.connection, name, options, &users)?)
    }

    /// Removes the images that no container uses and all content that nothing uses.
    pub fn prune_images(&self, options: &PruneOptions) -> Result<Pruned> {
        Ok(self.store()?.prune(&self.connection, options, &users)?)
    }

    /// How much of the disk images take.
    pub fn image_usage(&self) -> Result<Usage> {
        let users = users(&self.connection)?;
        Ok(self.store()?.usage(&self.connection, &users)?)
    }
}

/// All containers with their images.
fn users(connection: &rusqlite::Connection) -> sandbox_image::Result<Vec<ImageUser>> {
    let mut users = Vec::new();
    for (container, state, image) in containers::image_users(connection)? {
        // A row that names no image was not written by us, and is nobody's reason to keep one.
        let Ok(image) = image.parse::<Digest>() else { continue };
        users.push(ImageUser { container, running: state == containers::State::Running, image });
    }
    Ok(users)
}

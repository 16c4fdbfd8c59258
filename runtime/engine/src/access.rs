//! From a container's name to its files, whatever it is doing.

use std::io::Write;

use sandbox_image::Digest;
use sandbox_shim::plan::Plan;

use crate::archive::{self, Files, Hold};
use crate::commit::Commit;
use crate::diff::{self, FileChange};
use crate::engine::Engine;
use crate::error::Result;
use crate::image::Defaults;
use crate::isolation::Host;
use crate::state::containers::Container;
use crate::supervised::Link;

impl Engine {
    /// The files of the container of that name or id.
    pub fn files(&self, name: &str) -> Result<Files> {
        let container = self.find(name)?;
        Files::open(&self.plan_of(&container)?, self.hold(&container)?)
    }

    /// What it changed in its image's files.
    pub fn diff(&self, name: &str) -> Result<Vec<FileChange>> {
        let container = self.find(name)?;
        diff::diff(&self.plan_of(&container)?.rootfs, &self.hold(&container)?)
    }

    /// Writes its root file system as a tar.
    pub fn export(&self, name: &str, out: &mut dyn Write) -> Result<()> {
        let container = self.find(name)?;
        archive::export(&self.plan_of(&container)?, self.hold(&container)?, out)
    }

    /// Makes an image of it, and gives the image's id.
    pub fn commit(&self, name: &str, commit: &Commit) -> Result<Digest> {
        let container = self.find(name)?;
        let parent = self.image(&container.image_id)?;
        let request = self.recipe(&container)?.request;
        self.commit_of(&request, &self.plan_of(&container)?, &parent, &self.hold(&container)?, commit)
    }

    /// What it would be started from now.
    fn plan_of(&self, container: &Container) -> Result<Plan> {
        let recipe = self.recipe(container)?;
        let host = Host::look(&recipe.request.limits, &self.vm);
        let image = Defaults::from(&self.image(&container.image_id)?);
        Ok(self.plan(&container.id, &recipe.request, &image, recipe.mounts, &host)?.0)
    }

    fn hold(&self, container: &Container) -> Result<Hold> {
        if let Some(lock) = self.settled_lock(container)? {
            return Ok(Hold::Stopped(lock));
        }
        let link = Link { id: container.id.clone(), run_dir: container.run_dir.clone().into() };
        Ok(Hold::Running(Box::new(link)))
    }
}

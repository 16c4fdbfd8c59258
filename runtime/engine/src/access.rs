//! From a container's name to its files, whatever it is doing.

use std::io::Write;

use sandbox_image::Digest;
use sandbox_shim::plan::Plan;

use crate::archive::{self, Files, Hold, Supervisor};
use crate::commit::Commit;
use crate::diff::{self, FileChange};
use crate::engine::{CONFIG, Engine, PLAN};
use crate::error::{Error, Result};
use crate::lock::{self, Owner};
use crate::request::Request;
use crate::state::containers::Container;

impl Engine {
    /// The files of the container of that name or id.
    pub fn files(&self, name: &str) -> Result<Files> {
        let container = self.find(name)?;
        Files::open(&self.plan(&container)?, self.hold(&container)?)
    }

    /// What it changed in its image's files.
    pub fn diff(&self, name: &str) -> Result<Vec<FileChange>> {
        let container = self.find(name)?;
        diff::diff(&self.plan(&container)?.rootfs, &self.hold(&container)?)
    }

    /// Writes its root file system as a tar.
    pub fn export(&self, name: &str, out: &mut dyn Write) -> Result<()> {
        let container = self.find(name)?;
        archive::export(&self.plan(&container)?, self.hold(&container)?, out)
    }

    /// Makes an image of it, and gives the image's id.
    pub fn commit(&self, name: &str, commit: &Commit) -> Result<Digest> {
        let container = self.find(name)?;
        let parent = self.image(&container.image_id)?;
        let path = self.paths.container(&container.id).join(CONFIG);
        let request: Request = read_json(&path)?;
        self.commit_of(&request, &self.plan(&container)?, &parent, &self.hold(&container)?, commit)
    }

    /// By id, then by name, then by the beginning of an id, as Docker has it.
    fn find(&self, name: &str) -> Result<Container> {
        let mut containers = self.containers()?;
        let given = name.strip_prefix('/').unwrap_or(name);
        if let Some(at) =
            containers.iter().position(|container| container.id == name || container.name == given)
        {
            return Ok(containers.swap_remove(at));
        }
        let is_prefix = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        containers.retain(|container| is_prefix && container.id.starts_with(name));
        if containers.len() > 1 {
            return Err(Error::invalid(format!("multiple IDs found with provided prefix: {name}")));
        }
        containers.pop().ok_or_else(|| Error::NoSuchContainer(name.to_owned()))
    }

    fn plan(&self, container: &Container) -> Result<Plan> {
        read_json(&self.paths.container(&container.id).join(PLAN))
    }

    fn hold(&self, container: &Container) -> Result<Hold> {
        match lock::probe(&self.paths.container(&container.id))? {
            Owner::Gone(lock) => Ok(Hold::Stopped(lock)),
            Owner::Alive => self.supervisor(container).map(Hold::Running),
            Owner::NoLock => Err(Error::invalid(format!("container {} is being created", container.name))),
        }
    }

    /// The supervisor of a container that runs.
    fn supervisor(&self, container: &Container) -> Result<Box<dyn Supervisor>> {
        let path = self.paths.run(&container.id);
        Err(Error::invalid(format!(
            "connect to the supervisor of container {} in {}: it takes no connections",
            container.name,
            path.display()
        )))
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { what: path.display().to_string(), source })
}

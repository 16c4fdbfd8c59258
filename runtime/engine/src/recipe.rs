//! What a container is made of, in `config.json` of its directory: everything that another start needs, and `inspect` shows.
//!
//! It is written when all else of a new container is there: a container without it never was whole.

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::request::Request;
use crate::spec::Resolved;

/// Name of the file in the container's directory.
pub(crate) const FILE: &str = "config.json";
/// A larger one was not written by us, bytes: a command line and an environment have at most some megabytes.
const MAX: u64 = 64 << 20;

/// See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    pub request: Request,
    /// The mounts with the host paths that were found for them.
    pub mounts: Vec<Resolved>,
    /// The program and its arguments, as request and image together have them.
    pub arguments: Vec<String>,
    pub environment: Vec<String>,
    pub working_dir: String,
    pub hostname: String,
    /// As the image has it where the request does not say.
    pub user: String,
    pub stop_signal: i32,
    /// Those of the image and of the request.
    pub labels: std::collections::BTreeMap<String, String>,
}

impl Recipe {
    /// Writes it, all at once.
    pub(crate) fn write(&self, container_dir: &Path) -> Result<()> {
        let path = container_dir.join(FILE);
        let new = container_dir.join("config.json.new");
        let json = serde_json::to_vec(self)
            .map_err(|source| Error::Json { what: path.display().to_string(), source })?;
        std::fs::write(&new, json).map_err(Error::io("write", &new))?;
        std::fs::rename(&new, &path).map_err(Error::io("rename", &new))
    }

    /// Reads that of a container; None if it never was whole.
    pub(crate) fn read(container_dir: &Path) -> Result<Option<Recipe>> {
        use std::io::Read;
        let path = container_dir.join(FILE);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => std::fs::File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(e) => return Err(Error::io("open", path)(e)),
        };
        let mut text = Vec::new();
        file.take(MAX).read_to_end(&mut text).map_err(Error::io("read", &path))?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| Error::Json { what: path.display().to_string(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Recipe::read(dir.path()).unwrap().is_none());
        let recipe = Recipe { arguments: vec!["true".to_owned()], stop_signal: 15, ..Recipe::default() };
        recipe.write(dir.path()).unwrap();
        recipe.write(dir.path()).unwrap();
        let back = Recipe::read(dir.path()).unwrap().unwrap();
        assert_eq!((back.arguments, back.stop_signal), (recipe.arguments, 15));
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(Recipe::read(dir.path()).unwrap_err().to_string().contains("config.json"));
    }
}

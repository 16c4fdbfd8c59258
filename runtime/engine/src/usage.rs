//! `system df`: how much of the disk containers and volumes take. Images are counted by their store.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sandbox_image::Usage;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::live::View;
use crate::recipe::Recipe;
use crate::state::volumes;

/// Directories below each other that are looked into; a container may make any number, and each costs a descriptor.
const MAX_DEPTH: usize = 512;

/// Everything that takes space.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    pub images: Usage,
    pub containers: Vec<ContainerUsage>,
    pub volumes: Vec<VolumeUsage>,
}

/// A container and the bytes it has written.
#[derive(Debug, Clone)]
pub struct ContainerUsage {
    pub view: View,
    /// What it was started with; empty if its directory is gone.
    pub command: Vec<String>,
    pub size: u64,
    pub volumes: usize,
}

/// A volume, its bytes, and how many containers use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUsage {
    pub name: String,
    pub size: u64,
    pub links: usize,
}

impl ContainerUsage {
    pub fn is_active(&self) -> bool {
        self.view.is_running()
    }
}

impl Engine {
    /// Counts everything.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let images = self.image_usage()?;
        let used = volumes::usage(&self.connection)?;
        let mut usage = DiskUsage { images, ..DiskUsage::default() };
        for view in self.views()? {
            let container = &view.container;
            let size = tree_size(&self.paths.container(&container.id).join("upper"))?;
            let volumes = used.iter().filter(|(_, users)| users.contains(&container.id)).count();
            let recipe = Recipe::read(&self.paths.container(&container.id)).ok().flatten();
            let command = recipe.unwrap_or_default().arguments;
            usage.containers.push(ContainerUsage { view, command, size, volumes });
        }
        for (name, users) in used {
            let size = tree_size(&self.paths.volume(&name))?;
            usage.volumes.push(VolumeUsage { name, size, links: users.len() });
        }
        Ok(usage)
    }
}

/// Bytes of all files below a directory, a file of several names once; 0 if it is not there. Links are not followed.
pub(crate) fn tree_size(path: &Path) -> Result<u64> {
    let top = match rustix::fs::open(path, OPEN, Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(0),
        Err(errno) => return Err(Error::io("open directory", path)(errno)),
    };
    let mut count = Count { bytes: 0, seen: HashSet::new() };
    count.directory(top, 0).map_err(Error::io("read", path))?;
    Ok(count.bytes)
}

const OPEN: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

struct Count {
    bytes: u64,
    /// Files of several names that were counted.
    seen: HashSet<(u64, u64)>,
}

impl Count {
    fn directory(&mut self, directory: OwnedFd, depth: usize) -> rustix::io::Result<()> {
        let mut entries = Dir::new(directory)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // What vanishes meanwhile takes no space.
            let Ok(stat) = rustix::fs::statat(entries.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                if depth == MAX_DEPTH {
                    continue;
                }
                if let Ok(inner) = rustix::fs::openat(entries.fd()?, name, OPEN, Mode::empty()) {
                    self.directory(inner, depth + 1)?;
                }
            } else if stat.st_nlink == 1 || self.seen.insert((stat.st_dev, stat.st_ino)) {
                self.bytes = self.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_once_and_links_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/file"), [0; 1000]).unwrap();
        std::fs::hard_link(dir.path().join("a/b/file"), dir.path().join("again")).unwrap();
        std::fs::write(dir.path().join("other"), [0; 24]).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        assert_eq!(tree_size(dir.path()).unwrap(), 1024 + "/usr".len() as u64);
        assert_eq!(tree_size(&dir.path().join("nothing")).unwrap(), 0);
    }
}

//! Where everything lies on disk: the data root and the run directory of ARCHITECTURE.md.
//!
//! Both are private to root (mode 0700). A path that already is a symbolic link, or belongs to somebody
//! else, or that others may write, is refused: who owns the directory owns every container in it.

use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Data root without `--root` and `SANDBOX_ROOT`.
pub const DEFAULT_ROOT: &str = "/var/lib/sandbox";
/// Run directory without `--run-root` and `SANDBOX_RUN_ROOT`.
pub const DEFAULT_RUN_ROOT: &str = "/run/sandbox";

/// The two roots, absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub root: PathBuf,
    pub run_root: PathBuf,
}

impl Paths {
    /// The given roots, made absolute against the working directory. Touches nothing.
    pub fn new(root: &Path, run_root: &Path) -> Result<Paths> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("resolve", path));
        Ok(Paths { root: absolute(root)?, run_root: absolute(run_root)? })
    }

    /// Makes both roots where they are missing and checks them where they are not.
    pub fn prepare(&self) -> Result<()> {
        private_root(&self.root)?;
        private_root(&self.run_root)?;
        for child in ["containers", "volumes"] {
            private_dir(&self.root.join(child))?;
        }
        Ok(())
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("state.db")
    }
    /// `<root>/containers/<id>`.
    pub fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }
    /// `<run>/<id>`.
    pub fn run(&self, id: &str) -> PathBuf {
        self.run_root.join(id)
    }
    /// `<root>/volumes/<name>`.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }
    /// Held shared by whoever is between a new row and its lock, see [`crate::lock`].
    pub(crate) fn creation_lock(&self) -> PathBuf {
        self.root.join("create.lock")
    }
}

/// One mkdir when all is well; parents are made only when they are missing.
fn private_root(path: &Path) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(Errno::NOENT) => {
            let parent = path.parent().unwrap_or(path);
            std::fs::create_dir_all(parent).map_err(Error::io("create directory", parent))?;
            private_dir(path)?;
        }
        Err(e) => return Err(Error::io("create directory", path)(e)),
    }
    check(path)
}

/// A directory of mode 0700 below a root, which may be there already.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(Error::io("create directory", path)(e)),
    }
}

fn check(path: &Path) -> Result<()> {
    let stat = rustix::fs::lstat(path).map_err(Error::io("stat", path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Error::invalid(format!("{} is not a directory", path.display())));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Error::invalid(format!("{} belongs to user {}, not to us", path.display(), stat.st_uid)));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(Error::invalid(format!(
            "{} may be written by others (mode {:o}); run chmod 700 on it",
            path.display(),
            stat.st_mode & 0o7777
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_private_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("a/b/root"), &dir.path().join("run")).unwrap();
        paths.prepare().unwrap();
        paths.prepare().unwrap();
        let mode = std::fs::metadata(&paths.root).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        assert!(paths.root.join("containers").is_dir());
    }

    #[test]
    fn refuses_what_others_may_write_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (open, link) = (dir.path().join("open"), dir.path().join("link"));
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        let run = dir.path().join("run");
        let error = Paths::new(&open, &run).unwrap().prepare().unwrap_err();
        assert!(error.to_string().contains("may be written by others"), "{error}");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(Paths::new(&link, &run).unwrap().prepare().is_err());
    }
}

//! The files that were installed with the command: supervisor, monitor, guest kernel and initramfs.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The directory that holds them.
#[derive(Debug, Clone)]
pub struct Installation {
    candidates: Vec<PathBuf>,
    kernel: Option<PathBuf>,
}

impl Installation {
    /// `$SANDBOX_LIBEXEC`, else `<exe>/../libexec/sandbox`, then the executable's own directory.
    pub fn find() -> Result<Installation> {
        if let Some(dir) = std::env::var_os("SANDBOX_LIBEXEC").filter(|d| !d.is_empty()) {
            return Ok(Installation::at(vec![dir.into()]));
        }
        let exe = std::env::current_exe().map_err(Error::system("find our own executable"))?;
        let dir = exe.parent().unwrap_or(Path::new("/"));
        let prefix = dir.parent().unwrap_or(Path::new("/"));
        Ok(Installation::at(vec![prefix.join("libexec/sandbox"), dir.to_owned()]))
    }

    /// Looks in these directories, in order.
    pub fn at(candidates: Vec<PathBuf>) -> Installation {
        Installation { candidates, kernel: None }
    }

    /// Takes `kernel`, if there is one, instead of the one before.
    #[must_use]
    pub fn with_kernel(mut self, kernel: Option<PathBuf>) -> Installation {
        self.kernel = kernel.or(self.kernel);
        self
    }

    pub fn shim(&self) -> Result<PathBuf> {
        self.locate("the supervisor", "sandbox-shim")
    }
    pub fn vmm(&self) -> Result<PathBuf> {
        self.locate("the virtual machine monitor", "sandbox-vmm")
    }
    pub fn kernel(&self) -> Result<PathBuf> {
        match &self.kernel {
            Some(path) if path.is_file() => std::path::absolute(path).map_err(Error::io("resolve", path)),
            Some(path) => Err(Error::invalid(format!("guest kernel {}: no such file", path.display()))),
            None => self.locate("the guest kernel", "vmlinux"),
        }
    }
    pub fn initramfs(&self) -> Result<PathBuf> {
        self.locate("the guest's initramfs", "initramfs.cpio")
    }
    pub fn default_image(&self) -> Result<PathBuf> {
        self.locate("the default image", "default-image.tar")
    }

    fn locate(&self, what: &'static str, name: &'static str) -> Result<PathBuf> {
        let found = self.candidates.iter().map(|dir| dir.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| {
            let looked: Vec<_> = self.candidates.iter().map(|dir| dir.display().to_string()).collect();
            Error::NotInstalled { what, name, looked: looked.join(" and ") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_directory_wins_and_missing_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::create_dir(&a).unwrap();
        std::fs::create_dir(&b).unwrap();
        std::fs::write(b.join("sandbox-shim"), "").unwrap();
        let installation = Installation::at(vec![a.clone(), b.clone()]);
        assert_eq!(installation.shim().unwrap(), b.join("sandbox-shim"));
        std::fs::write(a.join("sandbox-shim"), "").unwrap();
        assert_eq!(installation.shim().unwrap(), a.join("sandbox-shim"));
        let text = installation.kernel().unwrap_err().to_string();
        assert!(text.starts_with("the guest kernel not found: looked for vmlinux in "), "{text}");
        assert!(text.contains("SANDBOX_LIBEXEC"));
    }

    #[test]
    fn kernel_of_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        let installation = Installation::at(vec![]).with_kernel(Some(own.clone()));
        assert!(installation.kernel().is_err());
        std::fs::write(&own, "").unwrap();
        assert_eq!(installation.kernel().unwrap(), own);
    }
}

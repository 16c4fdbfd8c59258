//! An image layout in a directory that somebody else may have written.
//!
//! Nothing outside it is read: lookups stay beneath it, and only regular files count.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| Error::file("open", path, errno))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// `None` if there is no such file.
    pub(super) fn open_file(&self, name: &str) -> Result<Option<File>> {
        let full = self.path.join(name);
        // A fifo must not block the open.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let fd = match openat2(&self.fd, name, flags, Mode::empty(), resolve) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(Error::file("open", &full, errno)),
        };
        let stat = fstat(&fd).map_err(|errno| Error::file("inspect", &full, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let reason = format!("{} is not a regular file", full.display());
            return Err(Error::NotAnImage { path: self.path.display().to_string(), reason });
        }
        Ok(Some(File::from(fd)))
    }

    /// The file's content; `None` if there is no such file.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| Error::file("read", &self.path.join(name), error))?;
        if bytes.len() as u64 > limit {
            return Err(Error::Limit {
                what: format!("the size of {name}"),
                limit: format!("{limit} bytes"),
            });
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_regular_files_beneath_it_only() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("layout");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        std::fs::write(path.join("index.json"), "{}").unwrap();
        std::os::unix::fs::symlink("index.json", path.join("inside")).unwrap();
        std::os::unix::fs::symlink("../secret", path.join("escape")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path.join("absolute")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path.join("fifo"), Mode::RWXU).unwrap();

        let directory = Directory::open(&path).unwrap();
        assert_eq!(directory.read("index.json", 2).unwrap().unwrap(), b"{}");
        assert_eq!(directory.read("inside", 2).unwrap().unwrap(), b"{}");
        assert!(directory.read("nothing", 2).unwrap().is_none());
        assert!(matches!(directory.read("index.json", 1), Err(Error::Limit { .. })));
        for name in ["escape", "absolute", "../secret", "fifo", "."] {
            assert!(directory.read(name, 100).is_err(), "{name}");
        }
    }
}

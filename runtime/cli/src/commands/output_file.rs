//! A file that gets its name when it is whole: what `save` and `export` write to with `-o`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// See the module.
pub(super) struct Output {
    file: File,
    path: PathBuf,
    named: Named,
}

enum Named {
    /// It is a device or a pipe that is written to as it is.
    Already,
    /// The file has no name yet, and vanishes with us.
    Not,
    /// Where the file system has no files without names.
    Temporarily(PathBuf),
}

impl Output {
    pub(super) fn create(path: &Path) -> std::io::Result<Output> {
        let existing = rustix::fs::stat(path).ok().map(|stat| FileType::from_raw_mode(stat.st_mode));
        if existing.is_some_and(|kind| kind != FileType::RegularFile) {
            let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            return Ok(Output { file: File::from(file), path: path.to_owned(), named: Named::Already });
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (mode, flags) = (Mode::RUSR | Mode::WUSR, OFlags::WRONLY | OFlags::CLOEXEC);
        let (file, named) = match rustix::fs::open(parent, flags | OFlags::TMPFILE, mode) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                let temporary = temporary_of(path);
                let flags = flags | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
                (rustix::fs::open(&temporary, flags, mode)?, Named::Temporarily(temporary))
            }
            opened => (opened?, Named::Not),
        };
        Ok(Output { file: File::from(file), path: path.to_owned(), named })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn finish(mut self) -> std::io::Result<()> {
        let temporary = match std::mem::replace(&mut self.named, Named::Already) {
            Named::Already => return Ok(()),
            Named::Temporarily(temporary) => temporary,
            Named::Not => {
                // A link cannot replace a file, a rename can.
                let temporary = temporary_of(&self.path);
                let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                rustix::fs::linkat(CWD, unnamed, CWD, &temporary, AtFlags::SYMLINK_FOLLOW)?;
                temporary
            }
        };
        let synced = self.file.sync_all().and_then(|()| std::fs::rename(&temporary, &self.path));
        if synced.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        synced
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Named::Temporarily(temporary) = &self.named {
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Beside the file, so that a rename stays within the file system.
fn temporary_of(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        for content in ["first", "second"] {
            let output = Output::create(&path).unwrap();
            output.file().write_all(content.as_bytes()).unwrap();
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            assert_ne!(before, content);
            output.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        drop(Output::create(&path).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(Output::create(&dir.path().join("no/such")).is_err());
    }

    #[test]
    fn a_device_is_written_to() {
        let output = Output::create(Path::new("/dev/null")).unwrap();
        output.file().write_all(b"x").unwrap();
        output.finish().unwrap();
    }
}

//! Removal of a directory tree that a container filled.
//!
//! The tree is hostile: it may be a hundred thousand directories deep, hold links to anywhere, and
//! names of any bytes. So nothing here follows a link or builds a path, and recursion ends at a depth: what lies
//! deeper is renamed up to the top and removed in another round.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Each round takes [`MAX_DEPTH`] levels; more of them are needed only while somebody still fills the tree.
const MAX_ROUNDS: u32 = 100_000;
/// Directories open at a time.
const MAX_DEPTH: u32 = 32;
const OPEN: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// Removes `path` and everything in it. What is not there is removed already.
pub(crate) fn tree(path: &Path) -> Result<()> {
    let top = match rustix::fs::open(path, OPEN, Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(Error::io("open directory", path)(e)),
    };
    let mut removal = Removal { top, moved_up: 0 };
    for _ in 0..MAX_ROUNDS {
        let again = rustix::fs::openat(&removal.top, ".", OPEN, Mode::empty());
        again.and_then(|top| removal.empty(top, 0)).map_err(Error::io("remove", path))?;
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // What was moved up, or what somebody who is still alive makes.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(e) => return Err(Error::io("remove directory", path)(e)),
        }
    }
    Err(Error::io("remove directory", path)(Errno::NOTEMPTY))
}

struct Removal {
    top: OwnedFd,
    /// For names that nobody has yet.
    moved_up: u64,
}

impl Removal {
    /// Removes what is in `dir`, which is `depth` levels below the top.
    fn empty(&mut self, dir: OwnedFd, depth: u32) -> rustix::io::Result<()> {
        let mut entries = Dir::new(dir)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let dir = entries.fd()?;
            if is_dir(dir, name, entry.file_type())? {
                self.remove_dir(dir, name, depth)?;
            } else {
                absent(rustix::fs::unlinkat(dir, name, AtFlags::empty()))?;
            }
        }
        Ok(())
    }

    fn remove_dir(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: u32) -> rustix::io::Result<()> {
        if removed(parent, name)? {
            return Ok(());
        }
        if depth >= MAX_DEPTH {
            return self.move_up(parent, name);
        }
        match rustix::fs::openat(parent, name, OPEN, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(e),
            Ok(dir) => self.empty(dir, depth + 1)?,
        }
        // It is not empty when somebody is still alive; the next round has it.
        removed(parent, name).map(|_| ())
    }

    /// Renames it to a free name at the top. Names that an interrupted removal left there are skipped.
    fn move_up(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
        loop {
            self.moved_up += 1;
            let free = format!(".removed.{}", self.moved_up);
            match rustix::fs::renameat_with(parent, name, &self.top, &free, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                other => return absent(other),
            }
        }
    }
}

fn is_dir(parent: BorrowedFd<'_>, name: &CStr, kind: FileType) -> rustix::io::Result<bool> {
    if kind != FileType::Unknown {
        return Ok(kind == FileType::Directory);
    }
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Somebody else may remove the same tree at the same time.
fn absent(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Removes an empty directory; false when it is not empty.
fn removed(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<bool> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn missing_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        tree(&dir.path().join("no")).unwrap();
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (keep, tree_dir) = (dir.path().join("keep"), dir.path().join("tree"));
        fs::create_dir_all(&keep).unwrap();
        fs::write(keep.join("file"), "x").unwrap();
        fs::create_dir_all(tree_dir.join("a/b")).unwrap();
        std::os::unix::fs::symlink(&keep, tree_dir.join("link")).unwrap();
        std::os::unix::fs::symlink(&keep, tree_dir.join("a/b/link")).unwrap();
        fs::write(tree_dir.join("a/file"), "x").unwrap();
        tree(&tree_dir).unwrap();
        assert!(!tree_dir.exists());
        assert!(keep.join("file").exists());
    }

    #[test]
    fn deeper_than_descriptors_and_path_max() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("tree");
        fs::create_dir(&top).unwrap();
        let mut at = rustix::fs::open(&top, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "directory", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "directory", OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())
                .unwrap();
        }
        tree(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn wide_and_with_leftovers_of_an_interrupted_removal() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("tree");
        for i in 0..50 {
            fs::create_dir_all(top.join(format!("d{i}/sub/sub"))).unwrap();
        }
        fs::create_dir_all(top.join(".removed.1/x/y")).unwrap();
        tree(&top).unwrap();
        assert!(!top.exists());
    }
}

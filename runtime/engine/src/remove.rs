//! Removal of a directory tree that a container filled.
//!
//! The tree is hostile: it may be a hundred thousand directories deep, hold links to anywhere, and
//! names of any bytes. So nothing here recurses, follows a link or builds a path: subdirectories of
//! subdirectories are renamed up to the top, and at most two descriptors are open.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Removes `path` and everything in it. What is not there is removed already.
pub(crate) fn tree(path: &Path) -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let top = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(Error::io("open directory", path)(e)),
    };
    empty(&top).map_err(Error::io("remove", path))?;
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(Error::io("remove directory", path)(e)),
    }
}

/// Empties `top` in rounds; each round removes every directory that it starts with and brings
/// their subdirectories up.
fn empty(top: &OwnedFd) -> rustix::io::Result<()> {
    let mut flattened: u64 = 0;
    loop {
        let mut seen = false;
        let mut entries = Dir::read_from(top)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) {
                continue;
            }
            seen = true;
            if is_dir(top.as_fd(), name, entry.file_type())? {
                remove_level(top.as_fd(), name, &mut flattened)?;
            } else {
                absent(rustix::fs::unlinkat(top, name, AtFlags::empty()))?;
            }
        }
        if !seen {
            return Ok(());
        }
    }
}

/// Removes the directory `name` of `top` after its files are removed and its subdirectories moved to `top`.
fn remove_level(top: BorrowedFd<'_>, name: &CStr, flattened: &mut u64) -> rustix::io::Result<()> {
    if absent_or(rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR), Errno::NOTEMPTY)? {
        return Ok(());
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let dir = match rustix::fs::openat(top, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    loop {
        let mut seen = false;
        let mut entries = Dir::read_from(&dir)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let child = entry.file_name();
            if is_dots(child) {
                continue;
            }
            seen = true;
            if is_dir(dir.as_fd(), child, entry.file_type())? {
                if absent_or(rustix::fs::unlinkat(&dir, child, AtFlags::REMOVEDIR), Errno::NOTEMPTY)? {
                    continue;
                }
                move_up(&dir, child, top, flattened)?;
            } else {
                absent(rustix::fs::unlinkat(&dir, child, AtFlags::empty()))?;
            }
        }
        if !seen {
            break;
        }
    }
    absent(rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR))
}

/// Renames `child` of `dir` to a free name of `top`. A name that an earlier, interrupted removal left there is skipped.
fn move_up(dir: &OwnedFd, child: &CStr, top: BorrowedFd<'_>, flattened: &mut u64) -> rustix::io::Result<()> {
    loop {
        *flattened += 1;
        let name = format!(".removed.{flattened}");
        match rustix::fs::renameat_with(dir, child, top, &name, rustix::fs::RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return absent(other),
        }
    }
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
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

/// True when it is gone, false on `tolerated`.
fn absent_or(result: rustix::io::Result<()>, tolerated: Errno) -> rustix::io::Result<bool> {
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(e) if e == tolerated || e == Errno::EXIST => Ok(false),
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

//! Masked and read-only paths. Everything by descriptor: what is checked is what is covered.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;

use crate::error::{Context, Error};
use crate::plan::mount::is_directory;
use crate::sys::mount::{
    ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, MountAttr, attach, clone_tree, new_fs, set_attr,
};
use crate::sys::path;

/// Covers files with the null device and directories with one empty read-only tmpfs. Paths that are not there are fine.
/// `null` is a place of the verified null device in a mount of this namespace.
pub(crate) fn mask(root: BorrowedFd<'_>, paths: &[String], null: BorrowedFd<'_>) -> Result<(), Error> {
    // The first directory's tmpfs, once it is mounted, is what the others get copies of.
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let doing = || format!("mask {path}");
        let target = match path::open_place(root, Path::new(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            result => result.context(doing)?,
        };
        if !is_directory(target.as_fd()).context(doing)? {
            let copy = clone_tree(null, Path::new(""), false).context(doing)?;
            attach(copy.as_fd(), target.as_fd()).context(doing)?;
            continue;
        }
        let mount = if let Some(first) = &empty {
            clone_tree(first.as_fd(), Path::new(""), false).context(doing)?
        } else {
            let options = ["nr_blocks=1".to_owned(), "nr_inodes=1".to_owned(), "mode=555".to_owned()];
            new_fs("tmpfs", "tmpfs", &options, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC)?
        };
        attach(mount.as_fd(), target.as_fd()).context(doing)?;
        empty.get_or_insert(mount);
    }
    Ok(())
}

/// Covers paths with read-only copies of themselves, mounts below included. Paths that are not there are fine.
pub(crate) fn make_readonly(root: BorrowedFd<'_>, paths: &[String]) -> Result<(), Error> {
    for path in paths {
        let doing = || format!("make {path} read-only");
        let target = match path::open_place(root, Path::new(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            result => result.context(doing)?,
        };
        let copy = clone_tree(target.as_fd(), Path::new(""), true).context(doing)?;
        set_attr(copy.as_fd(), true, &MountAttr::set(ATTR_RDONLY)).context(doing)?;
        attach(copy.as_fd(), target.as_fd()).context(doing)?;
    }
    Ok(())
}

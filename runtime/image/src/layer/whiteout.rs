//! OCI whiteouts (image-spec, layer.md#whiteouts) and their form in overlayfs: a character device 0:0 for a removed
//! name, an attribute on a directory that hides what is below it.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Dir, FileType};
use rustix::io::{Errno, Result};

use super::{LayerError, Refusal, entry_error, fs, shown};

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What AUFS kept for itself; no current tool writes it.
const META_PREFIX: &[u8] = b".wh..wh.";

/// What a path means by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    Plain,
    /// The directory that it is in hides the layers below.
    Opaque,
    /// Such a name is removed from the layers below.
    Whiteout(&'a [u8]),
    Ignored,
}

/// Tells whiteouts by the last of `components`.
pub(super) fn classify<'a>(components: &[&'a [u8]]) -> std::result::Result<Name<'a>, Refusal> {
    let Some((name, parents)) = components.split_last() else { return Ok(Name::Plain) };
    if parents.iter().any(|parent| parent.starts_with(META_PREFIX)) {
        return Ok(Name::Ignored);
    }
    if parents.iter().any(|parent| parent.starts_with(PREFIX)) {
        return Err(Refusal("is inside a whiteout"));
    }
    if *name == OPAQUE {
        return Ok(Name::Opaque);
    }
    if name.starts_with(META_PREFIX) {
        return Ok(Name::Ignored);
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(Name::Plain),
        Some(b"" | b"." | b"..") => Err(Refusal("is a whiteout of no file")),
        Some(hidden) => Ok(Name::Whiteout(hidden)),
    }
}

/// Hides `name` of the layers below; what this layer has under that name stays.
pub(super) fn hide(parent: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match fs::stat(parent, name)? {
        None => fs::make_whiteout(parent, name),
        Some(found) if fs::kind(&found) == FileType::Directory => {
            fs::set_opaque(fs::open_directory(parent, name)?.as_fd())
        }
        Some(_) => Ok(()),
    }
}

/// Hides everything that `below` has in its root: overlayfs ignores the opaque attribute there.
pub(super) fn hide_all(root: BorrowedFd<'_>, below: BorrowedFd<'_>) -> Result<()> {
    for entry in Dir::read_from(below)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            hide(root, name)?;
        }
    }
    Ok(())
}

/// overlayfs does not take its own marks as files, nor do file systems without devices or trusted attributes.
pub(super) fn error(path: &[u8], errno: Errno) -> LayerError {
    match errno {
        Errno::PERM | Errno::OPNOTSUPP => LayerError::Whiteout { path: shown(path), source: errno.into() },
        errno => entry_error(path, "make the whiteout", errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> std::result::Result<Name<'_>, Refusal> {
        classify(&path.split('/').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn names() {
        assert_eq!(of("a/b"), Ok(Name::Plain));
        assert_eq!(of("a/.wh.b"), Ok(Name::Whiteout(b"b")));
        assert_eq!(of("a/.wh..b"), Ok(Name::Whiteout(b".b")));
        assert_eq!(of("a/.wh..wh..opq"), Ok(Name::Opaque));
        assert_eq!(of(".wh..wh.plnk"), Ok(Name::Ignored));
        assert_eq!(of(".wh..wh.plnk/12.34"), Ok(Name::Ignored));
        for path in [".wh.", "a/.wh..", "a/.wh...", ".wh.a/b"] {
            assert!(of(path).is_err(), "{path}");
        }
    }
}

//! overlayfs' marks of what was removed, and the whiteouts that image layers have for them (OCI image-spec, layer.md).

use std::os::fd::BorrowedFd;

use rustix::fs::Stat;
use rustix::io::Errno;
use sandbox_tar::{Entry, Kind};

/// The whiteout that hides everything below in `directory`, a path with a slash at its end.
pub(super) fn opaque(directory: &[u8]) -> Entry {
    whiteout([directory, b".wh..wh..opq"].concat())
}

/// An empty file that says something by its name.
fn whiteout(path: Vec<u8>) -> Entry {
    Entry {
        path,
        kind: Kind::File,
        link: Vec::new(),
        mode: 0,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        device: (0, 0),
        xattrs: Vec::new(),
        size: 0,
        sparse: None,
    }
}

/// The whiteout that removes `path`.
pub(super) fn removed(path: &[u8]) -> Entry {
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = path.split_at(at);
    whiteout([parent, b".wh.", name].concat())
}

/// Whether a directory hides what is below it.
pub(super) fn is_opaque(directory: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    attribute(directory, "trusted.overlay.opaque").map(|value| value == Some(b'y'))
}

/// The other form of a whiteout: an empty file with an attribute (kernel documentation, filesystems/overlayfs.rst).
pub(super) fn is_whiteout_file(stat: &Stat, file: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    Ok(stat.st_size == 0 && attribute(file, "trusted.overlay.whiteout")?.is_some())
}

/// The first byte of an attribute, 0 for an empty one.
fn attribute(file: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Option<u8>> {
    let mut value = [0u8; 16];
    match rustix::fs::fgetxattr(file, name, &mut value[..]) {
        Ok(0) => Ok(Some(0)),
        Ok(_) => Ok(value.first().copied()),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

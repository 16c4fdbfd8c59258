//! Owner, mode, times and extended attributes of a file, and which of the latter an image may set.

use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown, fgetxattr,
    flistxattr, fsetxattr, fstat, futimens, utimensat,
};
use rustix::io::{Errno, Result};

use super::Xattrs;

/// The kernel's limit on an attribute's value and on the list of names (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const XATTR_MAX: usize = 64 << 10;
/// Given to a directory last: what is made in it meanwhile would inherit it.
pub const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// What is set on each file.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub mtime: (i64, u32),
    pub xattrs: Xattrs,
}

impl Metadata {
    /// For directories that nobody described: root's, 0755, dated 1970.
    pub fn plain_directory() -> Self {
        Self { uid: 0, gid: 0, mode: 0o755, mtime: (0, 0), xattrs: Vec::new() }
    }

    /// Sets everything on an open file. The order matters: a change of owner clears set-user-ID and capabilities, a
    /// change of mode rewrites an ACL.
    pub fn apply(&self, file: BorrowedFd<'_>) -> Result<()> {
        fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        fchmod(file, Mode::from_raw_mode(self.mode))?;
        for (name, value) in &self.xattrs {
            if name != DEFAULT_ACL {
                set_xattr(file, name, value)?;
            }
        }
        futimens(file, &times(self.mtime))
    }

    /// Sets owner, time and, unless it is a link, mode of what must not be opened.
    pub fn apply_named(&self, parent: BorrowedFd<'_>, name: &[u8], mode: bool) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        if mode {
            chmodat(parent, name, Mode::from_raw_mode(self.mode), AtFlags::empty())?;
        }
        utimensat(parent, name, &times(self.mtime), AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// The metadata of an open file or directory.
pub fn read(file: BorrowedFd<'_>) -> Result<Metadata> {
    let stat = fstat(file)?;
    Ok(Metadata {
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode & 0o7777,
        mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
        xattrs: xattrs(file)?,
    })
}

/// Both times of a file.
pub fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// The extended attributes of an open file or directory, overlayfs' own left out.
pub fn xattrs(file: BorrowedFd<'_>) -> Result<Xattrs> {
    let mut names = vec![0u8; XATTR_MAX];
    let length = match flistxattr(file, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno),
    };
    let mut found = Vec::new();
    let mut value = vec![0u8; XATTR_MAX];
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0) {
        if name.is_empty() || name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let length = fgetxattr(file, name, &mut value[..])?;
        found.push((name.to_vec(), value.get(..length).unwrap_or_default().to_vec()));
    }
    Ok(found)
}

/// A file system without extended attributes loses them, as with Docker.
pub fn set_xattr(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    match fsetxattr(file, name, value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

/// Keeps what belongs to the image: user attributes, ACLs and file capabilities. Labels of the machine that built the
/// image (SELinux, IMA) mean nothing here and are dropped; overlayfs' own attributes would let a layer show files of
/// another place, and are refused.
pub fn admit(xattrs: Xattrs) -> std::result::Result<Xattrs, &'static str> {
    let overlay = |name: &[u8]| name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    if xattrs.iter().any(|(name, _)| overlay(name)) {
        return Err("has an extended attribute that would control overlayfs");
    }
    Ok(xattrs.into_iter().filter(|(name, _)| is_of_image(name)).collect())
}

/// Whether an extended attribute means the same on every machine.
pub fn is_of_image(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit_one(name: &str) -> Option<usize> {
        admit(vec![(name.into(), b"y".to_vec())]).ok().map(|kept| kept.len())
    }

    #[test]
    fn xattrs_of_the_image_only() {
        assert_eq!(admit_one("user.comment"), Some(1));
        assert_eq!(admit_one("security.capability"), Some(1));
        assert_eq!(admit_one("security.selinux"), Some(0));
        assert_eq!(admit_one("trusted.anything"), Some(0));
        assert_eq!(admit_one("trusted.overlay.redirect"), None);
        assert_eq!(admit_one("user.overlay.opaque"), None);
    }
}

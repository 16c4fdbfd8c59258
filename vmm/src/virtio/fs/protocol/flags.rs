//! Flag bits of single requests, from `include/uapi/linux/fuse.h`.

/// `fuse_setattr_in.valid`.
pub(crate) const FATTR_MODE: u32 = 1 << 0;
pub(crate) const FATTR_UID: u32 = 1 << 1;
pub(crate) const FATTR_GID: u32 = 1 << 2;
pub(crate) const FATTR_SIZE: u32 = 1 << 3;
pub(crate) const FATTR_ATIME: u32 = 1 << 4;
pub(crate) const FATTR_MTIME: u32 = 1 << 5;
pub(crate) const FATTR_FH: u32 = 1 << 6;
pub(crate) const FATTR_ATIME_NOW: u32 = 1 << 7;
pub(crate) const FATTR_MTIME_NOW: u32 = 1 << 8;
pub(crate) const FATTR_KILL_SUIDGID: u32 = 1 << 11;

/// `fuse_open_out.open_flags`: bypass the guest's page cache.
pub(crate) const FOPEN_DIRECT_IO: u32 = 1 << 0;
/// Keep the guest's cached data over an open.
pub(crate) const FOPEN_KEEP_CACHE: u32 = 1 << 1;
/// The guest may cache this directory's listing.
pub(crate) const FOPEN_CACHE_DIR: u32 = 1 << 3;
/// Several direct writes to one inode may run at once.
pub(crate) const FOPEN_PARALLEL_DIRECT_WRITES: u32 = 1 << 6;

/// `fuse_attr.flags`: this directory is the root of another mount.
pub(crate) const ATTR_SUBMOUNT: u32 = 1 << 0;

/// `fuse_getattr_in.getattr_flags`: the file handle is valid.
pub(crate) const GETATTR_FH: u32 = 1 << 0;

/// `fuse_lk_in.lk_flags`: a BSD lock of the open file rather than a POSIX lock of its owner.
pub(crate) const LK_FLOCK: u32 = 1 << 0;

/// `fuse_write_in.write_flags`: written back from the page cache; the handle is any handle of the inode.
pub(crate) const WRITE_CACHE: u32 = 1 << 0;
/// The writer has no CAP_FSETID: set-user-id and set-group-id bits go.
pub(crate) const WRITE_KILL_SUIDGID: u32 = 1 << 2;

/// `fuse_open_in.open_flags`: as [`WRITE_KILL_SUIDGID`], for an O_TRUNC.
pub(crate) const OPEN_KILL_SUIDGID: u32 = 1 << 0;

/// `fuse_fsync_in.fsync_flags`: data only.
pub(crate) const FSYNC_FDATASYNC: u32 = 1 << 0;

/// `fuse_setxattr_in.setxattr_flags`: the set-group-id bit goes when an access ACL is set.
pub(crate) const SETXATTR_ACL_KILL_SGID: u32 = 1 << 0;

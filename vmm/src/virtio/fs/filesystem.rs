//! What the server asks of a file system.
//!
//! Arguments have been parsed and bounded: names are [`Name`]s, sizes are capped, handles and node ids are
//! the guest's claims and must be checked. A method that an implementation does not name answers
//! [`FileSystem::unsupported`].

use std::ffi::CStr;

use rustix::io::Errno;

use super::buffers::IoVectors;
use super::protocol::attr::StatxData;
use super::protocol::dirent::DirentBuffer;
use super::protocol::requests::{FileLock, OpenOut, StatfsOut};
use super::protocol::{AttrOut, EntryOut, InitFlags, Name, SetattrIn};

pub(crate) type FsResult<T> = Result<T, Errno>;

/// How sure it is that an operation will wait for something other than the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delay {
    /// It will: a disk, a flush.
    Certain,
    /// It moves much data or may miss the host's page cache.
    Possible,
}

/// Who asks, and how to tell the caller that the answer will take a while.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub uid: u32,
    pub gid: u32,
    /// A group of the caller besides `gid`, sent if it is the parent directory's.
    pub supplementary_group: Option<u32>,
    /// Called before an operation that may wait, so that another thread takes over the queue.
    pub delay: &'a dyn Fn(Delay),
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("uid", &self.uid).field("gid", &self.gid).finish_non_exhaustive()
    }
}

/// Mode, umask and device number of an inode to create.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewInode {
    /// Permission bits, and for MKNOD the file type.
    pub(crate) mode: u32,
    pub umask: u32,
    /// In the kernel's 32 bit form.
    pub rdev: u32,
}

/// How to open a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenMode {
    /// `O_*` as the guest sent them.
    pub flags: u32,
    /// The caller has no CAP_FSETID; matters with `O_TRUNC`.
    pub kill_suidgid: bool,
}

/// One transfer between a file and guest memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer {
    pub node: u64,
    pub fh: u64,
    /// In bytes.
    pub offset: u64,
    /// `O_*` of the guest's open file at the time of the request.
    pub flags: u32,
    /// `FUSE_WRITE_*`.
    pub write_flags: u32,
}

/// Where the space of an FALLOCATE lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allocation {
    pub node: u64,
    pub fh: u64,
    pub offset: u64,
    pub length: u64,
    /// `FALLOC_FL_*`.
    pub(crate) mode: u32,
}

/// From where to where, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyRange {
    pub node_in: u64,
    pub fh_in: u64,
    pub offset_in: u64,
    pub node_out: u64,
    pub fh_out: u64,
    pub offset_out: u64,
    pub length: u64,
}

/// A lock and whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockRequest {
    pub node: u64,
    pub fh: u64,
    pub owner: u64,
    pub lock: FileLock,
    /// A BSD lock of the open file.
    pub flock: bool,
}

/// An extended attribute or a list of their names: the bytes, or how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum XattrReply {
    Size(u32),
    Value(Vec<u8>),
}

macro_rules! operations {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $arg:ident: $kind:ty)* $(,)?) -> $output:ty;)*) => {$(
        $(#[$doc])*
        fn $name(&self $(, $arg: $kind)*) -> FsResult<$output> {
            let _ = ($(&$arg,)*);
            Err(self.unsupported())
        }
    )*};
}

/// A file system as FUSE sees it. Calls come from several threads at once.
pub(crate) trait FileSystem: Send + Sync {
    /// What an operation answers that this file system does not have.
    fn unsupported(&self) -> Errno {
        Errno::NOSYS
    }

    /// A new session: everything of the old one is forgotten. Gets what the guest's kernel can do and
    /// returns what of it shall be used.
    fn init(&self, capable: InitFlags) -> InitFlags;

    /// The session is over: every node and handle is gone.
    fn destroy(&self);

    /// The guest forgets `count` lookups of `node`. Unknown nodes and too large counts are no error.
    fn forget(&self, node: u64, count: u64);

    operations! {
        /// Finds `name` in `parent`. An entry with node id 0 tells the guest to remember that there is none.
        fn lookup(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>) -> EntryOut;
        fn getattr(&self, node: u64, fh: Option<u64>) -> AttrOut;
        /// `mask` has bits of `STATX_*`; returns also how long the guest may keep it, in seconds.
        fn statx(&self, node: u64, fh: Option<u64>, mask: u32) -> (StatxData, u64);
        fn setattr(&self, ctx: &Context<'_>, node: u64, change: &SetattrIn) -> AttrOut;
        fn readlink(&self, node: u64) -> Vec<u8>;
        fn symlink(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>, target: &CStr) -> EntryOut;
        fn mknod(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>, new: NewInode) -> EntryOut;
        fn mkdir(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>, new: NewInode) -> EntryOut;
        fn unlink(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>) -> ();
        fn rmdir(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>) -> ();
        /// `from` and `to` are a directory and a name in it; `flags` are `RENAME_*`.
        fn rename(&self, ctx: &Context<'_>, from: (u64, Name<'_>), to: (u64, Name<'_>), flags: u32) -> ();
        fn link(&self, ctx: &Context<'_>, node: u64, parent: u64, name: Name<'_>) -> EntryOut;
        fn open(&self, ctx: &Context<'_>, node: u64, mode: OpenMode) -> OpenOut;
        fn create(
            &self, ctx: &Context<'_>, parent: u64, name: Name<'_>, new: NewInode, mode: OpenMode,
        ) -> (EntryOut, OpenOut);
        fn tmpfile(&self, ctx: &Context<'_>, parent: u64, new: NewInode, mode: OpenMode) -> (EntryOut, OpenOut);
        /// Fills `data` from the file; fewer bytes mean its end.
        fn read(&self, ctx: &Context<'_>, transfer: Transfer, data: IoVectors<'_>) -> usize;
        fn write(&self, ctx: &Context<'_>, transfer: Transfer, data: IoVectors<'_>) -> usize;
        fn flush(&self, node: u64, fh: u64, owner: u64) -> ();
        fn release(&self, node: u64, fh: u64) -> ();
        fn fsync(&self, ctx: &Context<'_>, node: u64, fh: u64, data_only: bool) -> ();
        fn fallocate(&self, ctx: &Context<'_>, allocation: Allocation) -> ();
        fn lseek(&self, node: u64, fh: u64, offset: u64, whence: u32) -> u64;
        fn copy_file_range(&self, ctx: &Context<'_>, range: CopyRange) -> usize;
        fn opendir(&self, ctx: &Context<'_>, node: u64) -> OpenOut;
        /// Appends entries after `offset`; with `plus` each counts as a lookup, `.` and `..` excepted.
        fn readdir(
            &self, ctx: &Context<'_>, node: u64, fh: u64, offset: u64, plus: bool, reply: &mut DirentBuffer,
        ) -> ();
        fn releasedir(&self, node: u64, fh: u64) -> ();
        fn fsyncdir(&self, ctx: &Context<'_>, node: u64, fh: u64, data_only: bool) -> ();
        /// `size` is the room for the value; 0 asks for its size.
        fn getxattr(&self, node: u64, name: &CStr, size: usize) -> XattrReply;
        fn listxattr(&self, node: u64, size: usize) -> XattrReply;
        /// `flags` are `XATTR_*`, `kill_sgid` clears set-group-id where an access ACL is set.
        fn setxattr(&self, node: u64, name: &CStr, value: &[u8], flags: u32, kill_sgid: bool) -> ();
        fn removexattr(&self, node: u64, name: &CStr) -> ();
        fn statfs(&self, node: u64) -> StatfsOut;
        fn syncfs(&self, ctx: &Context<'_>, node: u64) -> ();
        /// The first lock that is in the way of this one.
        fn getlk(&self, request: LockRequest) -> FileLock;
        /// Sets, changes or releases a lock without waiting; `EAGAIN` if another lock is in the way.
        fn setlk(&self, request: LockRequest) -> ();
    }
}

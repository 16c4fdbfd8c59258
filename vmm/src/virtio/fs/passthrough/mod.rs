//! A file system that is a directory of the host.
//!
//! Every inode is reached through an O_PATH descriptor of its own and single names below it, resolved by
//! `openat2` with RESOLVE_BENEATH, NO_SYMLINKS and NO_MAGICLINKS: there is no path to escape with. Refuses to
//! open anything but regular files and directories, and device nodes in a share that the host's users see.

mod attributes;
mod credentials;
mod files;
mod locks;
mod names;
mod root;
mod xattrs;

#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::AtFlags;
use rustix::process::Resource;

use super::buffers::IoVectors;
use super::filesystem::{
    Allocation, Context, CopyRange, FileSystem, FsResult, LockRequest, NewInode, OpenMode, Transfer,
    XattrReply,
};
use super::handles::Handles;
use super::inodes::{Limits, Nodes};
use super::protocol::attr::StatxData;
use super::protocol::dirent::DirentBuffer;
use super::protocol::requests::{FileLock, OpenOut, StatfsOut};
use super::protocol::{AttrOut, EntryOut, InitFlags, Name, SetattrIn};
use super::sys::{self, Identity};
use crate::config::CacheMode;
use locks::Owners;
pub use root::{ShareError, ShareRoot, open_proc_self_fd};

/// How long the guest may use what it knows of a private share, in seconds: a year, which is for ever.
const FOREVER: u64 = 365 * 24 * 3600;

/// Wanted in every share.
const COMMON: InitFlags = InitFlags::ASYNC_READ
    .union(InitFlags::ATOMIC_O_TRUNC)
    .union(InitFlags::BIG_WRITES)
    .union(InitFlags::DONT_MASK)
    .union(InitFlags::DO_READDIRPLUS)
    .union(InitFlags::READDIRPLUS_AUTO)
    .union(InitFlags::ASYNC_DIO)
    .union(InitFlags::PARALLEL_DIROPS)
    .union(InitFlags::POSIX_ACL)
    .union(InitFlags::MAX_PAGES)
    .union(InitFlags::SUBMOUNTS)
    .union(InitFlags::HANDLE_KILLPRIV_V2)
    .union(InitFlags::SETXATTR_EXT)
    .union(InitFlags::INIT_EXT)
    .union(InitFlags::CREATE_SUPP_GROUP)
    .union(InitFlags::ALLOW_IDMAP);

/// One shared directory of the host.
#[derive(Debug)]
pub(crate) struct Passthrough {
    nodes: Nodes,
    handles: Handles,
    owners: Owners,
    proc_self_fd: OwnedFd,
    cache: CacheMode,
    read_only: bool,
    /// Seconds for which names and attributes are valid in the guest.
    timeout: u64,
    /// The guest's kernel caches writes; agreed on in INIT.
    writeback: AtomicBool,
}

impl Limits {
    /// A share's part of the files that this process may open. Call after RLIMIT_NOFILE is set.
    ///
    /// A machine has at most three shares (ARCHITECTURE.md); each takes a quarter, the rest is for the monitor.
    pub(crate) fn of_process() -> Self {
        let files = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
        let share = usize::try_from(files / 4).unwrap_or(usize::MAX).min(1 << 18);
        Self {
            nodes: 1 << 20,
            // A few more than the limit may be open for a moment, see `Nodes::remember`.
            node_fds: (share / 3).min(16 * 1024),
            handles: share / 2,
            lock_owners: share / 16,
        }
    }
}

impl Passthrough {
    /// # Errors
    /// If the root's attributes cannot be read.
    pub(crate) fn new(root: ShareRoot, cache: CacheMode, read_only: bool, limits: Limits) -> FsResult<Self> {
        let ShareRoot { dir, proc_self_fd } = root;
        let identity = Identity::of(&sys::stat(dir.as_fd())?);
        let private = cache == CacheMode::Private;
        Ok(Self {
            nodes: Nodes::new(limits, dir, identity, private),
            handles: Handles::new(limits.handles),
            owners: Owners::new(limits.lock_owners),
            proc_self_fd,
            cache,
            read_only,
            timeout: if private { FOREVER } else { 0 },
            writeback: AtomicBool::new(false),
        })
    }

    fn proc(&self) -> BorrowedFd<'_> {
        self.proc_self_fd.as_fd()
    }

    fn is_private(&self) -> bool {
        self.cache == CacheMode::Private
    }

    fn writes_back(&self) -> bool {
        self.writeback.load(Ordering::Relaxed)
    }
}

impl FileSystem for Passthrough {
    fn init(&self, capable: InitFlags) -> InitFlags {
        self.destroy();
        let own = match self.cache {
            // Locks stay in the guest's kernel: nobody else could hold one.
            CacheMode::Private => InitFlags::WRITEBACK_CACHE.union(InitFlags::CACHE_SYMLINKS),
            CacheMode::Coherent => InitFlags::POSIX_LOCKS
                .union(InitFlags::FLOCK_LOCKS)
                .union(InitFlags::AUTO_INVAL_DATA)
                .union(InitFlags::DIRECT_IO_ALLOW_MMAP),
        };
        let chosen = COMMON.union(own).intersection(capable);
        self.writeback.store(chosen.contains(InitFlags::WRITEBACK_CACHE), Ordering::Relaxed);
        chosen
    }

    fn destroy(&self) {
        self.owners.clear();
        self.handles.clear();
        self.nodes.clear();
    }

    fn forget(&self, node: u64, count: u64) {
        self.nodes.forget(node, count);
    }

    fn lookup(&self, _ctx: &Context<'_>, parent: u64, name: Name<'_>) -> FsResult<EntryOut> {
        self.find(parent, name)
    }

    fn getattr(&self, node: u64, fh: Option<u64>) -> FsResult<AttrOut> {
        self.get_attributes(node, fh)
    }

    fn statx(&self, node: u64, fh: Option<u64>, mask: u32) -> FsResult<(StatxData, u64)> {
        self.get_statx(node, fh, mask)
    }

    fn setattr(&self, ctx: &Context<'_>, node: u64, change: &SetattrIn) -> FsResult<AttrOut> {
        self.change(ctx, node, change)
    }

    fn readlink(&self, node: u64) -> FsResult<Vec<u8>> {
        self.link_target(node)
    }

    fn symlink(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>, target: &CStr) -> FsResult<EntryOut> {
        self.make_symlink(ctx, parent, name, target)
    }

    fn mknod(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>, new: NewInode) -> FsResult<EntryOut> {
        self.make_node(ctx, parent, name, new)
    }

    fn mkdir(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>, new: NewInode) -> FsResult<EntryOut> {
        self.make_directory(ctx, parent, name, new)
    }

    fn unlink(&self, _ctx: &Context<'_>, parent: u64, name: Name<'_>) -> FsResult<()> {
        self.remove(parent, name, AtFlags::empty())
    }

    fn rmdir(&self, _ctx: &Context<'_>, parent: u64, name: Name<'_>) -> FsResult<()> {
        self.remove(parent, name, AtFlags::REMOVEDIR)
    }

    fn rename(
        &self,
        ctx: &Context<'_>,
        from: (u64, Name<'_>),
        to: (u64, Name<'_>),
        flags: u32,
    ) -> FsResult<()> {
        self.move_name(ctx, from, to, flags)
    }

    fn link(&self, _ctx: &Context<'_>, node: u64, parent: u64, name: Name<'_>) -> FsResult<EntryOut> {
        self.make_link(node, parent, name)
    }

    fn open(&self, ctx: &Context<'_>, node: u64, mode: OpenMode) -> FsResult<OpenOut> {
        self.open_file(ctx, node, mode)
    }

    fn create(
        &self,
        ctx: &Context<'_>,
        parent: u64,
        name: Name<'_>,
        new: NewInode,
        mode: OpenMode,
    ) -> FsResult<(EntryOut, OpenOut)> {
        self.make_file(ctx, parent, name, new, mode)
    }

    fn tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: u64,
        new: NewInode,
        mode: OpenMode,
    ) -> FsResult<(EntryOut, OpenOut)> {
        self.make_unnamed(ctx, parent, new, mode)
    }

    fn read(&self, ctx: &Context<'_>, transfer: Transfer, data: IoVectors<'_>) -> FsResult<usize> {
        self.read_file(ctx, transfer, data)
    }

    fn write(&self, ctx: &Context<'_>, transfer: Transfer, data: IoVectors<'_>) -> FsResult<usize> {
        self.write_file(ctx, transfer, data)
    }

    fn flush(&self, node: u64, fh: u64, owner: u64) -> FsResult<()> {
        if self.is_private() {
            // There are no locks to end: the guest need not ask at every close.
            return Err(self.unsupported());
        }
        self.end_locks(node, fh, owner)
    }

    fn release(&self, node: u64, fh: u64) -> FsResult<()> {
        self.handles.remove(node, fh)
    }

    fn fsync(&self, ctx: &Context<'_>, node: u64, fh: u64, data_only: bool) -> FsResult<()> {
        self.sync_handle(ctx, node, fh, data_only)
    }

    fn fallocate(&self, ctx: &Context<'_>, allocation: Allocation) -> FsResult<()> {
        self.allocate(ctx, allocation)
    }

    fn lseek(&self, node: u64, fh: u64, offset: u64, whence: u32) -> FsResult<u64> {
        self.seek_data(node, fh, offset, whence)
    }

    fn copy_file_range(&self, ctx: &Context<'_>, range: CopyRange) -> FsResult<usize> {
        self.copy(ctx, range)
    }

    fn opendir(&self, _ctx: &Context<'_>, node: u64) -> FsResult<OpenOut> {
        self.open_directory(node)
    }

    fn readdir(
        &self,
        _ctx: &Context<'_>,
        node: u64,
        fh: u64,
        offset: u64,
        plus: bool,
        reply: &mut DirentBuffer,
    ) -> FsResult<()> {
        self.list(node, fh, offset, plus, reply)
    }

    fn releasedir(&self, node: u64, fh: u64) -> FsResult<()> {
        self.handles.remove(node, fh)
    }

    fn fsyncdir(&self, ctx: &Context<'_>, node: u64, fh: u64, data_only: bool) -> FsResult<()> {
        self.sync_handle(ctx, node, fh, data_only)
    }

    fn getxattr(&self, node: u64, name: &CStr, size: usize) -> FsResult<XattrReply> {
        self.get_attribute(node, name, size)
    }

    fn listxattr(&self, node: u64, size: usize) -> FsResult<XattrReply> {
        self.list_attributes(node, size)
    }

    fn setxattr(&self, node: u64, name: &CStr, value: &[u8], flags: u32, kill_sgid: bool) -> FsResult<()> {
        self.set_attribute(node, name, value, flags, kill_sgid)
    }

    fn removexattr(&self, node: u64, name: &CStr) -> FsResult<()> {
        self.remove_attribute(node, name)
    }

    fn statfs(&self, node: u64) -> FsResult<StatfsOut> {
        self.file_system(node)
    }

    fn syncfs(&self, ctx: &Context<'_>, node: u64) -> FsResult<()> {
        self.sync_file_system(ctx, node)
    }

    fn getlk(&self, request: LockRequest) -> FsResult<FileLock> {
        self.test_lock(request)
    }

    fn setlk(&self, request: LockRequest) -> FsResult<()> {
        self.set_lock(request)
    }
}

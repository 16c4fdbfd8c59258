//! A share that cannot be written, whatever the guest's kernel thinks (CVE-2026-46695).
//!
//! Lists what reads. Everything else, present or future, fails with EROFS because this wrapper does not
//! name it: [`FileSystem::unsupported`].

use std::ffi::CStr;

use rustix::io::Errno;

use super::buffers::IoVectors;
use super::filesystem::{Context, FileSystem, FsResult, LockRequest, OpenMode, Transfer, XattrReply};
use super::protocol::attr::StatxData;
use super::protocol::dirent::DirentBuffer;
use super::protocol::requests::{FileLock, OpenOut, StatfsOut};
use super::protocol::{AttrOut, EntryOut, InitFlags, Name};

/// The reading half of another file system.
#[derive(Debug)]
pub(crate) struct ReadOnly<F>(F);

impl<F: FileSystem> ReadOnly<F> {
    pub(crate) fn new(inner: F) -> Self {
        Self(inner)
    }
}

/// Flags of open(2) that change a file or ask for the right to.
const WRITING: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_TRUNC | libc::O_CREAT) as u32;

impl<F: FileSystem> FileSystem for ReadOnly<F> {
    fn unsupported(&self) -> Errno {
        Errno::ROFS
    }

    fn init(&self, capable: InitFlags) -> InitFlags {
        self.0.init(capable)
    }

    fn destroy(&self) {
        self.0.destroy();
    }

    fn forget(&self, node: u64, count: u64) {
        self.0.forget(node, count);
    }

    fn lookup(&self, ctx: &Context<'_>, parent: u64, name: Name<'_>) -> FsResult<EntryOut> {
        self.0.lookup(ctx, parent, name)
    }

    fn getattr(&self, node: u64, fh: Option<u64>) -> FsResult<AttrOut> {
        self.0.getattr(node, fh)
    }

    fn statx(&self, node: u64, fh: Option<u64>, mask: u32) -> FsResult<(StatxData, u64)> {
        self.0.statx(node, fh, mask)
    }

    fn readlink(&self, node: u64) -> FsResult<Vec<u8>> {
        self.0.readlink(node)
    }

    fn open(&self, ctx: &Context<'_>, node: u64, mode: OpenMode) -> FsResult<OpenOut> {
        if mode.flags & WRITING != 0 {
            return Err(Errno::ROFS);
        }
        self.0.open(ctx, node, mode)
    }

    fn read(&self, ctx: &Context<'_>, transfer: Transfer, data: IoVectors<'_>) -> FsResult<usize> {
        self.0.read(ctx, transfer, data)
    }

    fn flush(&self, node: u64, fh: u64, owner: u64) -> FsResult<()> {
        self.0.flush(node, fh, owner)
    }

    fn release(&self, node: u64, fh: u64) -> FsResult<()> {
        self.0.release(node, fh)
    }

    /// There is nothing to write back.
    fn fsync(&self, _ctx: &Context<'_>, _node: u64, _fh: u64, _data_only: bool) -> FsResult<()> {
        Ok(())
    }

    fn lseek(&self, node: u64, fh: u64, offset: u64, whence: u32) -> FsResult<u64> {
        self.0.lseek(node, fh, offset, whence)
    }

    fn opendir(&self, ctx: &Context<'_>, node: u64) -> FsResult<OpenOut> {
        self.0.opendir(ctx, node)
    }

    fn readdir(
        &self,
        ctx: &Context<'_>,
        node: u64,
        fh: u64,
        offset: u64,
        plus: bool,
        reply: &mut DirentBuffer,
    ) -> FsResult<()> {
        self.0.readdir(ctx, node, fh, offset, plus, reply)
    }

    fn releasedir(&self, node: u64, fh: u64) -> FsResult<()> {
        self.0.releasedir(node, fh)
    }

    fn fsyncdir(&self, _ctx: &Context<'_>, _node: u64, _fh: u64, _data_only: bool) -> FsResult<()> {
        Ok(())
    }

    fn getxattr(&self, node: u64, name: &CStr, size: usize) -> FsResult<XattrReply> {
        self.0.getxattr(node, name, size)
    }

    fn listxattr(&self, node: u64, size: usize) -> FsResult<XattrReply> {
        self.0.listxattr(node, size)
    }

    fn statfs(&self, node: u64) -> FsResult<StatfsOut> {
        self.0.statfs(node)
    }

    fn syncfs(&self, _ctx: &Context<'_>, _node: u64) -> FsResult<()> {
        Ok(())
    }

    fn getlk(&self, request: LockRequest) -> FsResult<FileLock> {
        self.0.getlk(request)
    }

    /// Locks change no byte, and a read-only bind mount has them too.
    fn setlk(&self, request: LockRequest) -> FsResult<()> {
        self.0.setlk(request)
    }
}

//! Open files and directories: reading, writing, space, listing.

use std::os::fd::OwnedFd;

use rustix::fs::{FallocateFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::names::is_mounted;
use super::{Passthrough, credentials};
use crate::virtio::fs::buffers::IoVectors;
use crate::virtio::fs::filesystem::{Allocation, Context, CopyRange, Delay, FsResult, OpenMode, Transfer};
use crate::virtio::fs::handles::Handle;
use crate::virtio::fs::inodes::Node;
use crate::virtio::fs::protocol::dirent::DirentBuffer;
use crate::virtio::fs::protocol::flags::{
    FOPEN_CACHE_DIR, FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE, FOPEN_PARALLEL_DIRECT_WRITES, WRITE_CACHE,
    WRITE_KILL_SUIDGID,
};
use crate::virtio::fs::protocol::requests::OpenOut;
use crate::virtio::fs::protocol::{EntryOut, Name};
use crate::virtio::fs::sys::{self, FdName, Identity};

/// Transfers of this many bytes take longer than waking another thread.
const LARGE: usize = 64 * 1024;

/// Flags of open(2) that mean the same on the host. O_APPEND is done write by write; O_DIRECT would demand the
/// host's alignment of guest memory; the rest is the guest kernel's business.
const PASSED: u32 = (libc::O_ACCMODE | libc::O_TRUNC | libc::O_SYNC | libc::O_DSYNC) as u32;

impl Passthrough {
    /// The host's flags for a file that the guest opens or creates.
    pub(super) fn host_flags(&self, flags: u32) -> OFlags {
        let mut flags = flags & PASSED;
        // The guest's page cache reads what is around a partial write.
        if self.writes_back() && flags & libc::O_ACCMODE as u32 == libc::O_WRONLY as u32 {
            flags = flags & !(libc::O_ACCMODE as u32) | libc::O_RDWR as u32;
        }
        OFlags::from_bits_truncate(flags) | OFlags::NONBLOCK | OFlags::NOCTTY
    }

    /// Opens an inode that must be a regular file or a directory: opening a device or a fifo acts on the host.
    pub(super) fn reopen(&self, node: &Node, flags: OFlags) -> FsResult<OwnedFd> {
        if !node.is_regular() && !node.is_directory() {
            return Err(if node.is_symlink() { Errno::LOOP } else { Errno::NXIO });
        }
        let name = FdName::new(node.fd());
        let flags = flags | OFlags::CLOEXEC;
        sys::retry(|| rustix::fs::openat(self.proc(), name.as_c_str(), flags, Mode::empty()))
    }

    pub(super) fn open_file(&self, ctx: &Context<'_>, id: u64, mode: OpenMode) -> FsResult<OpenOut> {
        let node = self.nodes.node(id)?;
        if node.is_directory() {
            return Err(Errno::ISDIR);
        }
        if mode.flags & libc::O_TRUNC as u32 != 0 {
            (ctx.delay)(Delay::Possible);
            credentials::keep_suidgid(self.proc(), !mode.kill_suidgid)?;
        }
        let file = self.reopen(&node, self.host_flags(mode.flags))?;
        self.keep(Handle::file(file, node))
    }

    pub(super) fn open_directory(&self, id: u64) -> FsResult<OpenOut> {
        let node = self.directory(id)?;
        let file = self.reopen(&node, OFlags::RDONLY | OFlags::DIRECTORY)?;
        self.keep(Handle::directory(file, node))
    }

    pub(super) fn keep(&self, handle: Handle) -> FsResult<OpenOut> {
        let open_flags = match (self.is_private(), handle.is_directory()) {
            (true, true) => FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR,
            (true, false) => FOPEN_KEEP_CACHE,
            (false, true) => 0,
            (false, false) => FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
        };
        Ok(OpenOut { fh: self.handles.insert(handle)?, open_flags, backing_id: 0 })
    }

    /// Fills `data` as far as the file goes. What the host has cached comes without waiting.
    pub(super) fn read_file(
        &self,
        ctx: &Context<'_>,
        transfer: Transfer,
        mut data: IoVectors<'_>,
    ) -> FsResult<usize> {
        let handle = self.handles.get(transfer.node, transfer.fh)?;
        let wanted = data.len();
        position(transfer.offset, wanted)?;
        if wanted >= LARGE {
            (ctx.delay)(Delay::Possible);
        }
        let mut done = 0;
        let mut flags = if handle.is_blind() { 0 } else { libc::RWF_NOWAIT };
        while !data.is_empty() {
            let offset = position(transfer.offset, done)?;
            match sys::read_vectored(handle.fd(), &data, offset, flags) {
                Ok(0) => break,
                Ok(count) => {
                    done += count;
                    data.advance(count);
                }
                Err(Errno::AGAIN) if flags != 0 => {
                    flags = 0;
                    (ctx.delay)(Delay::Certain);
                }
                Err(Errno::OPNOTSUPP) if flags != 0 => {
                    flags = 0;
                    handle.set_blind();
                }
                Err(_) if done > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    }

    pub(super) fn write_file(
        &self,
        ctx: &Context<'_>,
        transfer: Transfer,
        mut data: IoVectors<'_>,
    ) -> FsResult<usize> {
        let handle = self.handles.get(transfer.node, transfer.fh)?;
        let wanted = data.len();
        position(transfer.offset, wanted)?;
        if wanted >= LARGE {
            (ctx.delay)(Delay::Possible);
        }
        credentials::keep_suidgid(self.proc(), transfer.write_flags & WRITE_KILL_SUIDGID == 0)?;
        // The host finds the end of the file, which another writer may have moved. Pages that are written back
        // have their place already, and with a writeback cache the guest's kernel alone knows the end.
        let appends = transfer.flags & libc::O_APPEND as u32 != 0
            && transfer.write_flags & WRITE_CACHE == 0
            && !self.writes_back();
        let flags = if appends { libc::RWF_APPEND } else { 0 };
        let mut done = 0;
        while !data.is_empty() {
            let offset = position(transfer.offset, done)?;
            match sys::write_vectored(handle.fd(), &data, offset, flags) {
                Ok(0) => break,
                Ok(count) => {
                    done += count;
                    data.advance(count);
                }
                Err(_) if done > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    }

    pub(super) fn sync_handle(&self, ctx: &Context<'_>, node: u64, fh: u64, data_only: bool) -> FsResult<()> {
        let handle = self.handles.get(node, fh)?;
        (ctx.delay)(Delay::Certain);
        if data_only { rustix::fs::fdatasync(handle.fd()) } else { rustix::fs::fsync(handle.fd()) }
    }

    pub(super) fn sync_file_system(&self, ctx: &Context<'_>, id: u64) -> FsResult<()> {
        let node = self.nodes.node(id)?;
        (ctx.delay)(Delay::Certain);
        rustix::fs::syncfs(self.reopen(&node, OFlags::RDONLY | OFlags::NONBLOCK)?)
    }

    pub(super) fn allocate(&self, ctx: &Context<'_>, a: Allocation) -> FsResult<()> {
        let handle = self.handles.get(a.node, a.fh)?;
        let mode = FallocateFlags::from_bits(a.mode).ok_or(Errno::OPNOTSUPP)?;
        (ctx.delay)(Delay::Certain);
        credentials::keep_suidgid(self.proc(), true)?;
        sys::retry(|| rustix::fs::fallocate(handle.fd(), mode, a.offset, a.length))
    }

    pub(super) fn seek_data(&self, node: u64, fh: u64, offset: u64, whence: u32) -> FsResult<u64> {
        let handle = self.handles.get(node, fh)?;
        if offset > i64::MAX as u64 {
            return Err(Errno::NXIO);
        }
        let to =
            if whence as i32 == libc::SEEK_HOLE { SeekFrom::Hole(offset) } else { SeekFrom::Data(offset) };
        rustix::fs::seek(handle.fd(), to)
    }

    pub(super) fn copy(&self, ctx: &Context<'_>, range: CopyRange) -> FsResult<usize> {
        let from = self.handles.get(range.node_in, range.fh_in)?;
        let to = self.handles.get(range.node_out, range.fh_out)?;
        let (mut offset_in, mut offset_out) = (range.offset_in, range.offset_out);
        let length = usize::try_from(range.length).unwrap_or(usize::MAX);
        (ctx.delay)(Delay::Certain);
        credentials::keep_suidgid(self.proc(), true)?;
        sys::retry(|| {
            rustix::fs::copy_file_range(
                from.fd(),
                Some(&mut offset_in),
                to.fd(),
                Some(&mut offset_out),
                length,
            )
        })
    }

    pub(super) fn list(
        &self,
        id: u64,
        fh: u64,
        offset: u64,
        plus: bool,
        reply: &mut DirentBuffer,
    ) -> FsResult<()> {
        let handle = self.handles.get(id, fh)?;
        let dir = self.directory(id)?;
        let mut stream = handle.stream()?;
        let listed = self.list_from(&handle, &dir, &mut stream, (offset, plus), reply);
        // What was listed before an error is a valid reply; the error comes again with the next request.
        if reply.is_empty() { listed } else { Ok(()) }
    }

    fn list_from(
        &self,
        handle: &Handle,
        dir: &Node,
        stream: &mut crate::virtio::fs::handles::DirStream,
        (offset, plus): (u64, bool),
        reply: &mut DirentBuffer,
    ) -> FsResult<()> {
        stream.seek(handle.fd(), offset)?;
        while let Some(entry) = stream.peek(handle.fd())? {
            // An entry that does not fit must not count as looked up.
            if !reply.has_room(entry.name.len(), plus) {
                break;
            }
            let looked_up = if plus { Some(self.entry_of(dir, entry.name)) } else { None };
            if !reply.push(&entry, looked_up.as_ref()) {
                break;
            }
            stream.take();
        }
        Ok(())
    }

    /// The attributes for READDIRPLUS: one system call, no descriptor. An entry that is `.` or `..`, or is gone
    /// by now, has none (node id 0).
    fn entry_of(&self, dir: &Node, name: &[u8]) -> EntryOut {
        let mut text = [0; 256];
        let looked_up = text
            .get_mut(..name.len())
            .map(|bytes| bytes.copy_from_slice(name))
            .and_then(|()| std::ffi::CStr::from_bytes_until_nul(&text).ok())
            .and_then(|name| Name::new(name).ok())
            .and_then(|name| {
                let stat = sys::stat_at(dir.fd(), name).ok()?;
                let id = self.nodes.remember(Identity::of(&stat), None, Some((dir.id, name))).ok()?;
                Some(self.entry_out(id, &stat, is_mounted(dir, &stat)))
            });
        looked_up.unwrap_or_default()
    }
}

/// A position in a file as the kernel takes it; one that no file has is refused.
fn position(offset: u64, done: usize) -> FsResult<i64> {
    offset.checked_add(done as u64).and_then(|at| i64::try_from(at).ok()).ok_or(Errno::INVAL)
}

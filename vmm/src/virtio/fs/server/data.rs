//! Requests on open files.

use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::{Outcome, Reply, Request, Server};
use crate::virtio::fs::filesystem::{Allocation, CopyRange, FsResult, OpenMode, Transfer};
use crate::virtio::fs::protocol::MAX_TRANSFER;
use crate::virtio::fs::protocol::flags::{FSYNC_FDATASYNC, OPEN_KILL_SUIDGID};
use crate::virtio::fs::protocol::header::{IN_HEADER_LEN, OUT_HEADER_LEN};
use crate::virtio::fs::protocol::requests::{
    CopyFileRangeIn, FallocateIn, FlushIn, FsyncIn, LseekIn, LseekOut, OpenIn, OpenOut, ReadIn, ReleaseIn,
    WriteIn, WriteOut,
};

/// The most bytes one COPY_FILE_RANGE moves: a short count is allowed, a worker that is busy for minutes is not.
const MAX_COPY: u64 = 64 << 20;

impl Server {
    pub(super) fn open(&self, r: &mut Request<'_, '_>) -> FsResult<OpenOut> {
        let args: OpenIn = r.body.take()?;
        let mode = OpenMode { flags: args.flags, kill_suidgid: args.open_flags & OPEN_KILL_SUIDGID != 0 };
        self.fs.open(&r.context, r.header.nodeid, mode)
    }

    pub(super) fn read(&self, r: &mut Request<'_, '_>, reply: &Reply<'_, '_>) -> Outcome {
        let args: ReadIn = match r.body.take() {
            Ok(args) => args,
            Err(errno) => return reply.error(errno),
        };
        if args.size > MAX_TRANSFER || args.size as usize > reply.room() {
            return reply.error(Errno::INVAL);
        }
        let data = reply.output().io_vectors(OUT_HEADER_LEN, args.size as usize);
        let transfer = Transfer {
            node: r.header.nodeid,
            fh: args.fh,
            offset: args.offset,
            flags: args.flags,
            write_flags: 0,
        };
        match self.fs.read(&r.context, transfer, data) {
            Ok(count) => reply.sized(count.min(args.size as usize)),
            Err(errno) => reply.error(errno),
        }
    }

    pub(super) fn write(&self, r: &mut Request<'_, '_>) -> FsResult<WriteOut> {
        let args: WriteIn = r.body.take()?;
        let at = IN_HEADER_LEN + size_of::<WriteIn>();
        let size = args.size as usize;
        if args.size > MAX_TRANSFER || (r.header.len as usize).checked_sub(at).is_none_or(|sent| sent < size)
        {
            return Err(Errno::INVAL);
        }
        let transfer = Transfer {
            node: r.header.nodeid,
            fh: args.fh,
            offset: args.offset,
            flags: args.flags,
            write_flags: args.write_flags,
        };
        let written = self.fs.write(&r.context, transfer, r.input.io_vectors(at, size))?;
        Ok(WriteOut { size: written.min(size) as u32, padding: 0 })
    }

    pub(super) fn flush(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let args: FlushIn = r.body.take()?;
        let result = self.fs.flush(r.header.nodeid, args.fh, args.lock_owner);
        self.released.store(true, Ordering::Release);
        result
    }

    pub(super) fn release(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let args: ReleaseIn = r.body.take()?;
        let result = self.fs.release(r.header.nodeid, args.fh);
        self.released.store(true, Ordering::Release);
        result
    }

    pub(super) fn fsync(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let args: FsyncIn = r.body.take()?;
        self.fs.fsync(&r.context, r.header.nodeid, args.fh, args.fsync_flags & FSYNC_FDATASYNC != 0)
    }

    pub(super) fn fallocate(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let args: FallocateIn = r.body.take()?;
        let known = libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE;
        if args.mode & !(known as u32) != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let allocation = Allocation {
            node: r.header.nodeid,
            fh: args.fh,
            offset: args.offset,
            length: args.length,
            mode: args.mode,
        };
        self.fs.fallocate(&r.context, allocation)
    }

    pub(super) fn lseek(&self, r: &mut Request<'_, '_>) -> FsResult<LseekOut> {
        let args: LseekIn = r.body.take()?;
        // The guest's kernel answers the other kinds itself.
        if !matches!(args.whence as i32, libc::SEEK_DATA | libc::SEEK_HOLE) {
            return Err(Errno::INVAL);
        }
        let offset = self.fs.lseek(r.header.nodeid, args.fh, args.offset, args.whence)?;
        Ok(LseekOut { offset })
    }

    pub(super) fn copy_file_range(&self, r: &mut Request<'_, '_>) -> FsResult<WriteOut> {
        let args: CopyFileRangeIn = r.body.take()?;
        if args.flags != 0 {
            return Err(Errno::INVAL);
        }
        let range = CopyRange {
            node_in: r.header.nodeid,
            fh_in: args.fh_in,
            offset_in: args.off_in,
            node_out: args.nodeid_out,
            fh_out: args.fh_out,
            offset_out: args.off_out,
            length: args.len.min(MAX_COPY),
        };
        let copied = self.fs.copy_file_range(&r.context, range)?;
        Ok(WriteOut { size: copied as u32, padding: 0 })
    }
}

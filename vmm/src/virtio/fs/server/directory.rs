//! Requests on open directories.

use super::{Outcome, Reply, Request, Server};
use crate::virtio::fs::filesystem::FsResult;
use crate::virtio::fs::protocol::dirent::DirentBuffer;
use crate::virtio::fs::protocol::flags::FSYNC_FDATASYNC;
use crate::virtio::fs::protocol::requests::{FsyncIn, OpenOut, ReadIn, ReleaseIn};

impl Server {
    pub(super) fn opendir(&self, r: &mut Request<'_, '_>) -> FsResult<OpenOut> {
        self.fs.opendir(&r.context, r.header.nodeid)
    }

    pub(super) fn readdir(&self, r: &mut Request<'_, '_>, plus: bool, reply: &Reply<'_, '_>) -> Outcome {
        let args: ReadIn = match r.body.take() {
            Ok(args) => args,
            Err(errno) => return reply.error(errno),
        };
        let mut buffer = DirentBuffer::new((args.size as usize).min(reply.room()));
        match self.fs.readdir(&r.context, r.header.nodeid, args.fh, args.offset, plus, &mut buffer) {
            Ok(()) => reply.payload(&[buffer.as_bytes()]),
            Err(errno) => reply.error(errno),
        }
    }

    pub(super) fn releasedir(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let args: ReleaseIn = r.body.take()?;
        self.fs.releasedir(r.header.nodeid, args.fh)
    }

    pub(super) fn fsyncdir(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let args: FsyncIn = r.body.take()?;
        self.fs.fsyncdir(&r.context, r.header.nodeid, args.fh, args.fsync_flags & FSYNC_FDATASYNC != 0)
    }
}

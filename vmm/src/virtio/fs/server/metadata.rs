//! Requests about the attributes of one inode.

use super::{Request, Server};
use crate::virtio::fs::filesystem::FsResult;
use crate::virtio::fs::protocol::flags::GETATTR_FH;
use crate::virtio::fs::protocol::requests::{GetattrIn, StatxIn};
use crate::virtio::fs::protocol::{AttrOut, SetattrIn, StatxOut};

impl Server {
    pub(super) fn getattr(&self, r: &mut Request<'_, '_>) -> FsResult<AttrOut> {
        let args: GetattrIn = r.body.take()?;
        self.fs.getattr(r.header.nodeid, handle(args.getattr_flags, args.fh))
    }

    pub(super) fn statx(&self, r: &mut Request<'_, '_>) -> FsResult<StatxOut> {
        let args: StatxIn = r.body.take()?;
        let (stat, attr_valid) =
            self.fs.statx(r.header.nodeid, handle(args.getattr_flags, args.fh), args.sx_mask)?;
        Ok(StatxOut { attr_valid, stat, ..StatxOut::default() })
    }

    pub(super) fn setattr(&self, r: &mut Request<'_, '_>) -> FsResult<AttrOut> {
        let change: SetattrIn = r.body.take()?;
        self.fs.setattr(&r.context, r.header.nodeid, &change)
    }

    pub(super) fn syncfs(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        self.fs.syncfs(&r.context, r.header.nodeid)
    }
}

fn handle(flags: u32, fh: u64) -> Option<u64> {
    (flags & GETATTR_FH != 0).then_some(fh)
}

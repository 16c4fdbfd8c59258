//! Requests that look up, make, move and remove names. Every name is checked before the file system sees it.

use rustix::io::Errno;

use super::reply::Pair;
use super::{Request, Server};
use crate::virtio::fs::filesystem::{FsResult, NewInode, OpenMode};
use crate::virtio::fs::protocol::flags::OPEN_KILL_SUIDGID;
use crate::virtio::fs::protocol::requests::{
    CreateIn, LinkIn, MkdirIn, MknodIn, OpenOut, Rename2In, RenameIn,
};
use crate::virtio::fs::protocol::{EntryOut, MAX_TARGET};

impl Server {
    pub(super) fn lookup(&self, r: &mut Request<'_, '_>) -> FsResult<EntryOut> {
        let name = r.body.name()?;
        self.fs.lookup(&r.context, r.header.nodeid, name)
    }

    pub(super) fn symlink(&self, r: &mut Request<'_, '_>) -> FsResult<EntryOut> {
        let name = r.body.name()?;
        let target = r.body.string()?;
        match target.to_bytes().len() {
            0 => Err(Errno::NOENT),
            len if len > MAX_TARGET => Err(Errno::NAMETOOLONG),
            _ => self.fs.symlink(&r.context, r.header.nodeid, name, target),
        }
    }

    pub(super) fn mknod(&self, r: &mut Request<'_, '_>) -> FsResult<EntryOut> {
        let args: MknodIn = r.body.take()?;
        let name = r.body.name()?;
        let new = NewInode { mode: args.mode, umask: args.umask, rdev: args.rdev };
        self.fs.mknod(&r.context, r.header.nodeid, name, new)
    }

    pub(super) fn mkdir(&self, r: &mut Request<'_, '_>) -> FsResult<EntryOut> {
        let args: MkdirIn = r.body.take()?;
        let name = r.body.name()?;
        let new = NewInode { mode: args.mode, umask: args.umask, rdev: 0 };
        self.fs.mkdir(&r.context, r.header.nodeid, name, new)
    }

    pub(super) fn unlink(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let name = r.body.name()?;
        self.fs.unlink(&r.context, r.header.nodeid, name)
    }

    pub(super) fn rmdir(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let name = r.body.name()?;
        self.fs.rmdir(&r.context, r.header.nodeid, name)
    }

    pub(super) fn rename(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let RenameIn { newdir } = r.body.take()?;
        self.move_name(r, newdir, 0)
    }

    pub(super) fn rename2(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let Rename2In { newdir, flags, .. } = r.body.take()?;
        let known = libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE | libc::RENAME_WHITEOUT;
        if flags & !known != 0 {
            return Err(Errno::INVAL);
        }
        self.move_name(r, newdir, flags)
    }

    fn move_name(&self, r: &mut Request<'_, '_>, newdir: u64, flags: u32) -> FsResult<()> {
        let from = r.body.name()?;
        let to = r.body.name()?;
        self.fs.rename(&r.context, (r.header.nodeid, from), (newdir, to), flags)
    }

    pub(super) fn link(&self, r: &mut Request<'_, '_>) -> FsResult<EntryOut> {
        let LinkIn { oldnodeid } = r.body.take()?;
        let name = r.body.name()?;
        self.fs.link(&r.context, oldnodeid, r.header.nodeid, name)
    }

    pub(super) fn create(&self, r: &mut Request<'_, '_>) -> FsResult<Pair<EntryOut, OpenOut>> {
        let (new, mode) = new_file(r)?;
        let name = r.body.name()?;
        let (entry, open) = self.fs.create(&r.context, r.header.nodeid, name, new, mode)?;
        Ok(Pair(entry, open))
    }

    /// The name that follows is a placeholder of the guest's kernel, checked like any other and not used.
    pub(super) fn tmpfile(&self, r: &mut Request<'_, '_>) -> FsResult<Pair<EntryOut, OpenOut>> {
        let (new, mode) = new_file(r)?;
        r.body.string()?;
        let (entry, open) = self.fs.tmpfile(&r.context, r.header.nodeid, new, mode)?;
        Ok(Pair(entry, open))
    }
}

fn new_file(r: &mut Request<'_, '_>) -> FsResult<(NewInode, OpenMode)> {
    let args: CreateIn = r.body.take()?;
    let new = NewInode { mode: args.mode, umask: args.umask, rdev: 0 };
    let kill_suidgid = args.open_flags & OPEN_KILL_SUIDGID != 0;
    Ok((new, OpenMode { flags: args.flags, kill_suidgid }))
}

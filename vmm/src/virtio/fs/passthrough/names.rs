//! Looking up, making, moving and removing names.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Statx};
use rustix::io::Errno;

use super::{Passthrough, credentials};
use crate::virtio::fs::filesystem::{Context, FsResult, NewInode, OpenMode};
use crate::virtio::fs::handles::Handle;
use crate::virtio::fs::inodes::Node;
use crate::virtio::fs::protocol::attr::decode_device;
use crate::virtio::fs::protocol::requests::OpenOut;
use crate::virtio::fs::protocol::{EntryOut, Name};
use crate::virtio::fs::sys::{self, FdName, Identity};

impl Passthrough {
    pub(super) fn find(&self, parent: u64, name: Name<'_>) -> FsResult<EntryOut> {
        let dir = self.directory(parent)?;
        match self.find_in(&dir, name) {
            // Remembered by the guest, which alone can make the name.
            Err(Errno::NOENT) if self.is_private() => {
                Ok(EntryOut { entry_valid: self.timeout, ..EntryOut::default() })
            }
            result => result,
        }
    }

    /// Counts one lookup of the entry.
    pub(super) fn find_in(&self, dir: &Node, name: Name<'_>) -> FsResult<EntryOut> {
        // Where names are asked for again and again, most are known: one system call then.
        if !self.is_private() {
            let stat = sys::stat_at(dir.fd(), name)?;
            if let Some(id) = self.nodes.recognize(&Identity::of(&stat), dir.id, name) {
                return Ok(self.entry_out(id, &stat, is_mounted(dir, &stat)));
            }
        }
        let fd = sys::open_path(dir.fd(), name)?;
        let stat = sys::stat(fd.as_fd())?;
        let id = self.nodes.remember(Identity::of(&stat), Some(fd), Some((dir.id, name)))?;
        Ok(self.entry_out(id, &stat, is_mounted(dir, &stat)))
    }

    pub(super) fn directory(&self, id: u64) -> FsResult<Node> {
        let node = self.nodes.node(id)?;
        if node.is_directory() { Ok(node) } else { Err(Errno::NOTDIR) }
    }

    pub(super) fn make_symlink(
        &self,
        ctx: &Context<'_>,
        parent: u64,
        name: Name<'_>,
        target: &CStr,
    ) -> FsResult<EntryOut> {
        let dir = self.directory(parent)?;
        credentials::own_as(self.proc(), ctx.uid, ctx.gid, 0)?;
        rustix::fs::symlinkat(target, dir.fd(), name.as_c_str())?;
        self.find_in(&dir, name)
    }

    pub(super) fn make_node(
        &self,
        ctx: &Context<'_>,
        parent: u64,
        name: Name<'_>,
        new: NewInode,
    ) -> FsResult<EntryOut> {
        let dir = self.directory(parent)?;
        let (major, minor) = decode_device(new.rdev);
        let kind = match new.mode & libc::S_IFMT {
            0 | libc::S_IFREG => FileType::RegularFile,
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            // The host's users could open a device node in a directory that they share with the guest; 0:0 is
            // no device but overlayfs' mark of a deleted name.
            libc::S_IFCHR if self.is_private() || (major, minor) == (0, 0) => FileType::CharacterDevice,
            libc::S_IFBLK if self.is_private() => FileType::BlockDevice,
            libc::S_IFCHR | libc::S_IFBLK => return Err(Errno::PERM),
            _ => return Err(Errno::INVAL),
        };
        let mode = permissions(ctx, &dir, new.mode)?;
        credentials::own_as(self.proc(), ctx.uid, ctx.gid, new.umask)?;
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(dir.fd(), name.as_c_str(), kind, Mode::from_raw_mode(mode), device)?;
        self.find_in(&dir, name)
    }

    pub(super) fn make_directory(
        &self,
        ctx: &Context<'_>,
        parent: u64,
        name: Name<'_>,
        new: NewInode,
    ) -> FsResult<EntryOut> {
        let dir = self.directory(parent)?;
        credentials::own_as(self.proc(), ctx.uid, ctx.gid, new.umask)?;
        rustix::fs::mkdirat(dir.fd(), name.as_c_str(), Mode::from_raw_mode(new.mode & 0o7777))?;
        self.find_in(&dir, name)
    }

    pub(super) fn make_file(
        &self,
        ctx: &Context<'_>,
        parent: u64,
        name: Name<'_>,
        new: NewInode,
        open: OpenMode,
    ) -> FsResult<(EntryOut, OpenOut)> {
        let dir = self.directory(parent)?;
        let mode = permissions(ctx, &dir, new.mode)?;
        credentials::own_as(self.proc(), ctx.uid, ctx.gid, new.umask)?;
        match sys::create_file(dir.fd(), name, self.host_flags(open.flags), mode) {
            Ok(file) => {
                let (entry, node) = self.new_node(&dir, &file, Some(name))?;
                self.or_forget(entry, |_| self.keep(Handle::file(file, node)))
            }
            // Never O_CREAT on a name that exists: it may be a fifo or a device by now.
            Err(Errno::EXIST) if open.flags & libc::O_EXCL as u32 == 0 => {
                let entry = self.find_in(&dir, name)?;
                self.or_forget(entry, |id| self.open_file(ctx, id, open))
            }
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn make_unnamed(
        &self,
        ctx: &Context<'_>,
        parent: u64,
        new: NewInode,
        open: OpenMode,
    ) -> FsResult<(EntryOut, OpenOut)> {
        let dir = self.directory(parent)?;
        let mode = permissions(ctx, &dir, new.mode)?;
        credentials::own_as(self.proc(), ctx.uid, ctx.gid, new.umask)?;
        let flags = self.host_flags(open.flags);
        // O_TMPFILE must be able to write.
        let flags = if flags.contains(OFlags::RDWR) { flags } else { flags | OFlags::WRONLY };
        let file = sys::create_unnamed(dir.fd(), flags, mode)?;
        let (entry, node) = self.new_node(&dir, &file, None)?;
        self.or_forget(entry, |_| self.keep(Handle::file(file, node)))
    }

    /// An entry that was looked up for the guest together with its open file; without the file the guest does
    /// not hear of the entry, so its lookup is taken back.
    fn or_forget(
        &self,
        entry: EntryOut,
        open: impl FnOnce(u64) -> FsResult<OpenOut>,
    ) -> FsResult<(EntryOut, OpenOut)> {
        match open(entry.nodeid) {
            Ok(out) => Ok((entry, out)),
            Err(errno) => {
                self.nodes.forget(entry.nodeid, 1);
                Err(errno)
            }
        }
    }

    /// The node of a file that was just created, by an O_PATH descriptor of exactly that file.
    fn new_node(&self, dir: &Node, file: &OwnedFd, name: Option<Name<'_>>) -> FsResult<(EntryOut, Node)> {
        let path = rustix::fs::openat(
            self.proc(),
            FdName::new(file).as_c_str(),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let stat = sys::stat(path.as_fd())?;
        let place = name.map(|name| (dir.id, name));
        let id = self.nodes.remember(Identity::of(&stat), Some(path), place)?;
        Ok((self.entry_out(id, &stat, false), self.nodes.node(id)?))
    }

    pub(super) fn make_link(&self, id: u64, parent: u64, name: Name<'_>) -> FsResult<EntryOut> {
        let node = self.nodes.node(id)?;
        let dir = self.directory(parent)?;
        if node.is_directory() {
            return Err(Errno::PERM);
        }
        let old = FdName::new(node.fd());
        rustix::fs::linkat(self.proc(), old.as_c_str(), dir.fd(), name.as_c_str(), AtFlags::SYMLINK_FOLLOW)?;
        self.find_in(&dir, name)
    }

    pub(super) fn remove(&self, parent: u64, name: Name<'_>, flags: AtFlags) -> FsResult<()> {
        let dir = self.directory(parent)?;
        self.nodes.before_removal(parent, name);
        rustix::fs::unlinkat(dir.fd(), name.as_c_str(), flags)?;
        self.nodes.removed(parent, name);
        Ok(())
    }

    pub(super) fn move_name(
        &self,
        ctx: &Context<'_>,
        from: (u64, Name<'_>),
        to: (u64, Name<'_>),
        flags: u32,
    ) -> FsResult<()> {
        let old = self.directory(from.0)?;
        let new = self.directory(to.0)?;
        let flags = RenameFlags::from_bits(flags).ok_or(Errno::INVAL)?;
        if flags.contains(RenameFlags::WHITEOUT) {
            credentials::own_as(self.proc(), ctx.uid, ctx.gid, 0)?;
        }
        self.nodes.before_removal(to.0, to.1);
        rustix::fs::renameat_with(old.fd(), from.1.as_c_str(), new.fd(), to.1.as_c_str(), flags)?;
        self.nodes.moved(from, to, flags.contains(RenameFlags::EXCHANGE));
        Ok(())
    }

    pub(super) fn link_target(&self, id: u64) -> FsResult<Vec<u8>> {
        let node = self.nodes.node(id)?;
        if !node.is_symlink() {
            return Err(Errno::INVAL);
        }
        Ok(rustix::fs::readlinkat(node.fd(), c"", Vec::with_capacity(256))?.into_bytes())
    }
}

/// A mount begins where its id changes.
pub(super) fn is_mounted(dir: &Node, stat: &Statx) -> bool {
    stat.stx_mnt_id != dir.identity.key.mount
}

/// The permission bits of a new file. Set-group-id with group execute goes if the file will belong to the
/// directory's group and the caller is not in it (CVE-2022-0358): the host would let it pass, because this
/// process keeps CAP_FSETID.
fn permissions(ctx: &Context<'_>, dir: &Node, mode: u32) -> FsResult<u32> {
    let mode = mode & 0o7777;
    let privileged = libc::S_ISGID | libc::S_IXGRP;
    if ctx.uid == 0 || mode & privileged != privileged {
        return Ok(mode);
    }
    let stat = sys::stat(dir.fd())?;
    let inherits = u32::from(stat.stx_mode) & libc::S_ISGID != 0;
    let member = stat.stx_gid == ctx.gid || ctx.supplementary_group == Some(stat.stx_gid);
    Ok(if inherits && !member { mode & !libc::S_ISGID } else { mode })
}

//! Attributes as the host has them, in the forms of FUSE, and changes to them.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Statx, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid,
};
use rustix::io::Errno;

use super::{Passthrough, credentials};
use crate::virtio::fs::filesystem::{Context, Delay, FsResult};
use crate::virtio::fs::inodes::Node;
use crate::virtio::fs::protocol::attr::{StatxData, StatxTime, encode_device};
use crate::virtio::fs::protocol::flags::{
    ATTR_SUBMOUNT, FATTR_ATIME, FATTR_ATIME_NOW, FATTR_FH, FATTR_GID, FATTR_KILL_SUIDGID, FATTR_MODE,
    FATTR_MTIME, FATTR_MTIME_NOW, FATTR_SIZE, FATTR_UID,
};
use crate::virtio::fs::protocol::requests::StatfsOut;
use crate::virtio::fs::protocol::{Attr, AttrOut, EntryOut, SetattrIn};
use crate::virtio::fs::sys::{self, FdName};

impl Passthrough {
    pub(super) fn get_attributes(&self, node: u64, fh: Option<u64>) -> FsResult<AttrOut> {
        Ok(self.attr_out(&self.stat_of(node, fh)?))
    }

    /// Prefers the open file: it is there even if the inode's names are gone and its node is stale.
    fn stat_of(&self, node: u64, fh: Option<u64>) -> FsResult<Statx> {
        match fh {
            Some(fh) => sys::stat(self.handles.get(node, fh)?.fd()),
            None => sys::stat(self.nodes.node(node)?.fd()),
        }
    }

    pub(super) fn get_statx(&self, node: u64, fh: Option<u64>, mask: u32) -> FsResult<(StatxData, u64)> {
        let stat = self.stat_of(node, fh)?;
        let offered = (StatxFlags::BASIC_STATS | StatxFlags::BTIME).bits() & mask;
        let data = StatxData {
            mask: stat.stx_mask & offered,
            blksize: stat.stx_blksize,
            nlink: stat.stx_nlink,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mode: stat.stx_mode,
            ino: stat.stx_ino,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            atime: statx_time(stat.stx_atime.tv_sec, stat.stx_atime.tv_nsec),
            btime: statx_time(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec),
            ctime: statx_time(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            mtime: statx_time(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            rdev_major: stat.stx_rdev_major,
            rdev_minor: stat.stx_rdev_minor,
            dev_major: stat.stx_dev_major,
            dev_minor: stat.stx_dev_minor,
            ..StatxData::default()
        };
        Ok((data, self.timeout))
    }

    pub(super) fn attr_out(&self, stat: &Statx) -> AttrOut {
        AttrOut { attr_valid: self.timeout, attr: attributes(stat), ..AttrOut::default() }
    }

    /// An entry whose attributes are `stat`; `mounted` if it is the root of another mount than its parent's.
    pub(super) fn entry_out(&self, nodeid: u64, stat: &Statx, mounted: bool) -> EntryOut {
        let mut attr = attributes(stat);
        if mounted && attr.mode & libc::S_IFMT == libc::S_IFDIR {
            attr.flags |= ATTR_SUBMOUNT;
        }
        EntryOut { nodeid, entry_valid: self.timeout, attr_valid: self.timeout, attr, ..EntryOut::default() }
    }

    pub(super) fn change(&self, ctx: &Context<'_>, id: u64, change: &SetattrIn) -> FsResult<AttrOut> {
        let node = self.nodes.node(id)?;
        let valid = change.valid;
        if valid & (FATTR_UID | FATTR_GID) != 0 {
            Self::change_owner(&node, valid, change)?;
        }
        if valid & FATTR_SIZE != 0 {
            (ctx.delay)(Delay::Possible);
            credentials::keep_suidgid(self.proc(), valid & FATTR_KILL_SUIDGID == 0)?;
            self.change_size(&node, valid, change)?;
        }
        // After owner and size, whose changes clear set-user-id bits.
        if valid & FATTR_MODE != 0 {
            self.change_mode(&node, change.mode)?;
        }
        if valid & (FATTR_ATIME | FATTR_MTIME) != 0 {
            let times = Timestamps {
                last_access: timestamp(valid, FATTR_ATIME, FATTR_ATIME_NOW, change.atime, change.atimensec),
                last_modification: timestamp(
                    valid,
                    FATTR_MTIME,
                    FATTR_MTIME_NOW,
                    change.mtime,
                    change.mtimensec,
                ),
            };
            rustix::fs::utimensat(self.proc(), FdName::new(node.fd()).as_c_str(), &times, AtFlags::empty())?;
        }
        Ok(self.attr_out(&sys::stat(node.fd())?))
    }

    /// Through `/proc/self/fd`, which reaches exactly this inode on every kernel (fchmodat2 is of Linux 6.6).
    fn change_mode(&self, node: &Node, mode: u32) -> FsResult<()> {
        if node.is_symlink() {
            return Err(Errno::OPNOTSUPP);
        }
        credentials::keep_suidgid(self.proc(), true)?;
        let mode = Mode::from_raw_mode(mode & 0o7777);
        rustix::fs::chmodat(self.proc(), FdName::new(node.fd()).as_c_str(), mode, AtFlags::empty())
    }

    fn change_owner(node: &Node, valid: u32, change: &SetattrIn) -> FsResult<()> {
        if (valid & FATTR_UID != 0 && change.uid == u32::MAX)
            || (valid & FATTR_GID != 0 && change.gid == u32::MAX)
        {
            return Err(Errno::INVAL);
        }
        let uid = (valid & FATTR_UID != 0).then(|| Uid::from_raw(change.uid));
        let gid = (valid & FATTR_GID != 0).then(|| Gid::from_raw(change.gid));
        rustix::fs::chownat(node.fd(), c"", uid, gid, AtFlags::EMPTY_PATH)
    }

    fn change_size(&self, node: &Node, valid: u32, change: &SetattrIn) -> FsResult<()> {
        if !node.is_regular() {
            return Err(if node.is_directory() { Errno::ISDIR } else { Errno::INVAL });
        }
        if change.size > i64::MAX as u64 {
            return Err(Errno::FBIG);
        }
        if valid & FATTR_FH != 0 {
            let handle = self.handles.get(node.id, change.fh)?;
            // EINVAL: open for reading only; the guest's kernel has checked permissions, so reopen.
            match truncate(handle.fd(), change.size) {
                Err(Errno::INVAL) => {}
                result => return result,
            }
        }
        let file = self.reopen(node, OFlags::WRONLY | OFlags::NONBLOCK)?;
        truncate(file.as_fd(), change.size)
    }

    pub(super) fn file_system(&self, id: u64) -> FsResult<StatfsOut> {
        let stat = rustix::fs::fstatfs(self.nodes.node(id)?.fd())?;
        Ok(StatfsOut {
            blocks: stat.f_blocks,
            bfree: stat.f_bfree,
            bavail: stat.f_bavail,
            files: stat.f_files,
            ffree: stat.f_ffree,
            bsize: stat.f_bsize as u32,
            namelen: stat.f_namelen as u32,
            frsize: stat.f_frsize as u32,
            ..StatfsOut::default()
        })
    }
}

fn truncate(file: BorrowedFd<'_>, size: u64) -> FsResult<()> {
    sys::retry(|| rustix::fs::ftruncate(file, size))
}

fn attributes(stat: &Statx) -> Attr {
    Attr {
        ino: stat.stx_ino,
        size: stat.stx_size,
        blocks: stat.stx_blocks,
        // Seconds before 1970 are negative and travel as their two's complement.
        atime: stat.stx_atime.tv_sec as u64,
        mtime: stat.stx_mtime.tv_sec as u64,
        ctime: stat.stx_ctime.tv_sec as u64,
        atimensec: stat.stx_atime.tv_nsec,
        mtimensec: stat.stx_mtime.tv_nsec,
        ctimensec: stat.stx_ctime.tv_nsec,
        mode: u32::from(stat.stx_mode),
        nlink: stat.stx_nlink,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        rdev: encode_device(stat.stx_rdev_major, stat.stx_rdev_minor),
        blksize: stat.stx_blksize,
        flags: 0,
    }
}

fn statx_time(tv_sec: i64, tv_nsec: u32) -> StatxTime {
    StatxTime { tv_sec, tv_nsec, reserved: 0 }
}

fn timestamp(valid: u32, set: u32, now: u32, seconds: u64, nanoseconds: u32) -> Timespec {
    if valid & set == 0 {
        Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }
    } else if valid & now != 0 {
        Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }
    } else {
        Timespec { tv_sec: seconds as i64, tv_nsec: i64::from(nanoseconds.min(999_999_999)) }
    }
}

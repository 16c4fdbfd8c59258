//! POSIX and BSD locks. A lock that is taken makes the request wait outside of the workers.

use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::{BlockedLock, Outcome, Reply, Request, Server};
use crate::virtio::fs::buffers::Buffers;
use crate::virtio::fs::filesystem::{FsResult, LockRequest};
use crate::virtio::fs::protocol::flags::LK_FLOCK;
use crate::virtio::fs::protocol::requests::{FileLock, LkIn};

impl Server {
    pub(super) fn getlk(&self, r: &mut Request<'_, '_>) -> FsResult<FileLock> {
        let request = lock_request(r)?;
        if request.flock {
            return Err(Errno::INVAL);
        }
        self.fs.getlk(request)
    }

    pub(super) fn setlk(&self, r: &mut Request<'_, '_>) -> FsResult<()> {
        let request = lock_request(r)?;
        self.fs.setlk(request)?;
        // Any success may free a range: an unlock, but also a write lock that becomes a read lock.
        self.released.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn setlkw(&self, r: &mut Request<'_, '_>, reply: &Reply<'_, '_>) -> Outcome {
        let request = match lock_request(r) {
            Ok(request) => request,
            Err(errno) => return reply.error(errno),
        };
        match self.fs.setlk(request) {
            Ok(()) => reply.ok(),
            Err(Errno::AGAIN) => Outcome::Blocked(BlockedLock { unique: r.header.unique, request }),
            Err(errno) => reply.error(errno),
        }
    }

    /// Tries once more to get a lock; None if it is still taken, else the length of the reply.
    pub(crate) fn retry(&self, blocked: &BlockedLock, output: &Buffers<'_>) -> Option<u32> {
        let result = self.fs.setlk(blocked.request);
        if result == Err(Errno::AGAIN) {
            return None;
        }
        let Outcome::Done(len) = Reply::new(output, blocked.unique).finish_empty(result) else {
            return Some(0);
        };
        Some(len)
    }

    /// Answers a waiting request with `errno`; returns the length of the reply.
    pub(crate) fn give_up(blocked: &BlockedLock, errno: Errno, output: &Buffers<'_>) -> u32 {
        match Reply::new(output, blocked.unique).error(errno) {
            Outcome::Done(len) => len,
            Outcome::Blocked(_) | Outcome::Interrupted(_) => 0,
        }
    }
}

fn lock_request(r: &mut Request<'_, '_>) -> FsResult<LockRequest> {
    let args: LkIn = r.body.take()?;
    let FileLock { start, end, kind, .. } = args.lk;
    let kind_known = matches!(kind as i32, libc::F_RDLCK | libc::F_WRLCK | libc::F_UNLCK);
    if !kind_known || start > end || end > i64::MAX as u64 {
        return Err(Errno::INVAL);
    }
    Ok(LockRequest {
        node: r.header.nodeid,
        fh: args.fh,
        owner: args.owner,
        lock: args.lk,
        flock: args.lk_flags & LK_FLOCK != 0,
    })
}

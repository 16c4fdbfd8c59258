//! Locks that processes on the host and other guests see.
//!
//! A POSIX lock belongs to an owner in the guest. Each owner gets an open file description of his own on the
//! host and OFD locks on it, which conflict with everybody else's like POSIX locks do. A BSD lock belongs to the
//! guest's open file, which is one handle here, so it is taken on the handle itself and ends with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::Passthrough;
use crate::virtio::fs::filesystem::{FsResult, LockRequest};
use crate::virtio::fs::protocol::requests::FileLock;
use crate::virtio::fs::sys;

/// The file description that carries an owner's locks on a node.
#[derive(Debug)]
pub(super) struct Owners {
    files: Mutex<HashMap<(u64, u64), Arc<OwnedFd>>>,
    limit: usize,
}

impl Owners {
    pub(super) fn new(limit: usize) -> Self {
        Self { files: Mutex::new(HashMap::new()), limit }
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, u64), Arc<OwnedFd>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, node: u64, owner: u64) -> Option<Arc<OwnedFd>> {
        self.lock().get(&(node, owner)).cloned()
    }

    /// Ends all locks of an owner on a node.
    fn release(&self, node: u64, owner: u64) {
        let file = self.lock().remove(&(node, owner));
        drop(file);
    }
}

impl Passthrough {
    pub(super) fn set_lock(&self, request: LockRequest) -> FsResult<()> {
        if request.flock {
            return self.set_flock(request);
        }
        // The guest must have the file open; its kernel has checked for what.
        self.handles.get(request.node, request.fh)?;
        let unlocks = request.lock.kind as i32 == libc::F_UNLCK;
        let whole = request.lock.start == 0 && request.lock.end == i64::MAX as u64;
        if unlocks && whole {
            self.owners.release(request.node, request.owner);
            return Ok(());
        }
        let file = match self.owners.get(request.node, request.owner) {
            Some(file) => file,
            None if unlocks => return Ok(()),
            None => self.new_owner(request)?,
        };
        let mut lock = host_lock(&request.lock);
        // EACCES is the other errno that fcntl(2) allows for a lock that is taken.
        sys::retry(|| sys::lock_command(file.as_fd(), libc::F_OFD_SETLK, &mut lock)).map_err(|errno| {
            match errno {
                Errno::ACCESS => Errno::AGAIN,
                errno => errno,
            }
        })
    }

    fn new_owner(&self, request: LockRequest) -> FsResult<Arc<OwnedFd>> {
        let file = Arc::new(self.open_for_lock(request.node)?);
        let mut files = self.owners.lock();
        let full = files.len() >= self.owners.limit;
        match files.entry((request.node, request.owner)) {
            Entry::Occupied(entry) => Ok(Arc::clone(entry.get())),
            Entry::Vacant(_) if full => Err(Errno::NOLCK),
            Entry::Vacant(entry) => Ok(Arc::clone(entry.insert(file))),
        }
    }

    /// For reading and writing where that is possible: a write lock needs a file that is open for writing.
    fn open_for_lock(&self, id: u64) -> FsResult<OwnedFd> {
        let node = self.nodes.node(id)?;
        if self.read_only {
            return self.reopen(&node, OFlags::RDONLY | OFlags::NONBLOCK);
        }
        match self.reopen(&node, OFlags::RDWR | OFlags::NONBLOCK) {
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::TXTBSY) => {
                self.reopen(&node, OFlags::RDONLY | OFlags::NONBLOCK)
            }
            result => result,
        }
    }

    fn set_flock(&self, request: LockRequest) -> FsResult<()> {
        let handle = self.handles.get(request.node, request.fh)?;
        let operation = match request.lock.kind as i32 {
            libc::F_RDLCK => FlockOperation::NonBlockingLockShared,
            libc::F_WRLCK => FlockOperation::NonBlockingLockExclusive,
            _ => FlockOperation::Unlock,
        };
        sys::retry(|| rustix::fs::flock(handle.fd(), operation))
    }

    pub(super) fn test_lock(&self, request: LockRequest) -> FsResult<FileLock> {
        self.handles.get(request.node, request.fh)?;
        let file = match self.owners.get(request.node, request.owner) {
            Some(file) => file,
            None => Arc::new(self.open_for_lock(request.node)?),
        };
        let mut lock = host_lock(&request.lock);
        sys::retry(|| sys::lock_command(file.as_fd(), libc::F_OFD_GETLK, &mut lock))?;
        let start = lock.l_start as u64;
        let end = match lock.l_len {
            len if len > 0 => start.saturating_add(len as u64 - 1),
            _ => i64::MAX as u64,
        };
        // The holder is on the host: no process of the guest.
        Ok(FileLock { start, end, kind: lock.l_type as u32, pid: 0 })
    }

    /// close(2) in the guest: the owner's POSIX locks on the file end.
    pub(super) fn end_locks(&self, node: u64, fh: u64, owner: u64) -> FsResult<()> {
        self.handles.get(node, fh)?;
        self.owners.release(node, owner);
        Ok(())
    }
}

/// `lock` has been checked: `start` <= `end` <= `i64::MAX`.
fn host_lock(lock: &FileLock) -> libc::flock {
    let end = lock.end.min(i64::MAX as u64);
    let len = if end == i64::MAX as u64 { 0 } else { end.saturating_sub(lock.start) as i64 + 1 };
    libc::flock {
        l_type: lock.kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: lock.start as i64,
        l_len: len,
        // Open file description locks require zero.
        l_pid: 0,
    }
}

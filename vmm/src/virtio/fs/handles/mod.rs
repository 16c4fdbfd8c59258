//! Open files and directories, by file handle.
//!
//! Refuses: more handles than the limit (ENFILE), handles that are closed or belong to another inode (EBADF).

mod stream;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::filesystem::FsResult;
use super::inodes::Node;
pub(crate) use stream::DirStream;

/// One open file or directory.
#[derive(Debug)]
pub(crate) struct Handle {
    file: OwnedFd,
    /// Keeps the inode awake.
    node: Node,
    /// Reading position of a directory.
    stream: Option<Mutex<DirStream>>,
    /// The host's file system cannot say whether a read would wait (`RWF_NOWAIT`).
    blind: AtomicBool,
}

impl Handle {
    pub(crate) fn file(file: OwnedFd, node: Node) -> Self {
        Self { file, node, stream: None, blind: AtomicBool::new(false) }
    }

    pub(crate) fn directory(file: OwnedFd, node: Node) -> Self {
        let stream = Some(Mutex::new(DirStream::default()));
        Self { file, node, stream, blind: AtomicBool::new(true) }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The reading position, for a directory.
    ///
    /// # Errors
    /// `EBADF` for a file.
    pub(crate) fn stream(&self) -> FsResult<MutexGuard<'_, DirStream>> {
        let stream = self.stream.as_ref().ok_or(Errno::BADF)?;
        Ok(stream.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.stream.is_some()
    }

    pub(crate) fn is_blind(&self) -> bool {
        self.blind.load(Ordering::Relaxed)
    }

    pub(crate) fn set_blind(&self) {
        self.blind.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    handle: Option<Arc<Handle>>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    /// The slot of an open handle of this node.
    fn slot(&mut self, node: u64, fh: u64) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(fh as u32 as usize)?;
        let open = slot.handle.as_ref().is_some_and(|handle| handle.node.id == node);
        (open && u64::from(slot.generation) == fh >> 32).then_some(slot)
    }
}

/// The open handles of a share.
#[derive(Debug)]
pub(crate) struct Handles {
    slots: Mutex<Slots>,
    limit: usize,
}

impl Handles {
    pub(crate) fn new(limit: usize) -> Self {
        Self { slots: Mutex::new(Slots::default()), limit: limit.min(u32::MAX as usize) }
    }

    /// Keeps an open file and returns its handle.
    ///
    /// # Errors
    /// `ENFILE` if the guest has too many open.
    pub(crate) fn insert(&self, handle: Handle) -> FsResult<u64> {
        let mut slots = self.lock();
        let index = match slots.free.pop() {
            Some(index) => index,
            None if slots.slots.len() < self.limit => {
                slots.slots.push(Slot::default());
                (slots.slots.len() - 1) as u32
            }
            None => return Err(Errno::NFILE),
        };
        let slot = slots.slots.get_mut(index as usize).ok_or(Errno::NFILE)?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.handle = Some(Arc::new(handle));
        Ok(u64::from(slot.generation) << 32 | u64::from(index))
    }

    /// The open file of a handle, which must be one of this node.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn get(&self, node: u64, fh: u64) -> FsResult<Arc<Handle>> {
        self.lock().slot(node, fh).and_then(|slot| slot.handle.clone()).ok_or(Errno::BADF)
    }

    /// Closes a handle.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn remove(&self, node: u64, fh: u64) -> FsResult<()> {
        let closed = {
            let mut slots = self.lock();
            let handle = slots.slot(node, fh).and_then(|slot| slot.handle.take()).ok_or(Errno::BADF)?;
            slots.free.push(fh as u32);
            handle
        };
        // Without the lock: closing may wait for the host's file system.
        drop(closed);
        Ok(())
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        let mut slots = self.lock();
        let Slots { slots: list, free } = &mut *slots;
        free.clear();
        for (index, slot) in list.iter_mut().enumerate() {
            slot.handle = None;
            free.push(index as u32);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

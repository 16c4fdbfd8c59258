//! The inodes that the guest knows, by node id.
//!
//! An entry is *awake* while it holds an O_PATH descriptor and *dormant* when it only knows its directory and
//! name; a dormant one is reopened when it is used and must then still be the same inode, else it is stale.
//! So a guest may know many more inodes than this process may open files. Refuses: unknown and stale ids
//! (ESTALE), more inodes than the limit (ENOMEM).

mod dormant;
mod table;

#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::filesystem::FsResult;
use super::protocol::Name;
use super::sys::Identity;
use table::{Entry, Table};

/// Bounds on what the guest can make this process hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Inodes that the guest knows.
    pub nodes: usize,
    /// O_PATH descriptors of inodes.
    pub node_fds: usize,
    /// Open files and directories.
    pub handles: usize,
    /// Lock owners, one descriptor each.
    pub lock_owners: usize,
}

/// An awake inode in use; its descriptor stays open while this lives.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub id: u64,
    pub identity: Identity,
    fd: Arc<OwnedFd>,
}

impl Node {
    /// The O_PATH descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.identity.file_type == libc::S_IFREG
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.identity.file_type == libc::S_IFDIR
    }

    pub(crate) fn is_symlink(&self) -> bool {
        self.identity.file_type == libc::S_IFLNK
    }
}

/// Node ids, what they stand for, and how often the guest has looked each up.
#[derive(Debug)]
pub(crate) struct Nodes {
    table: Mutex<Table>,
    limits: Limits,
    /// Nobody but the guest renames or deletes: an inode is where it was last seen, whatever its number.
    /// (The inode number of an overlay's file may change when it is first written.)
    private: bool,
    evicting: AtomicBool,
}

impl Nodes {
    pub(crate) fn new(limits: Limits, root: OwnedFd, identity: Identity, private: bool) -> Self {
        let table = Table::new(Entry::new(identity, Some(Arc::new(root)), None));
        Self { table: Mutex::new(table), limits, private, evicting: AtomicBool::new(false) }
    }

    /// The inode of a node id, awake.
    ///
    /// # Errors
    /// `ESTALE` if the id is unknown, or dormant and no longer where it was.
    pub(crate) fn node(&self, id: u64) -> FsResult<Node> {
        let found = {
            let mut table = self.lock();
            let entry = table.get_mut(id).ok_or(Errno::STALE)?;
            entry.recent = true;
            entry.node(id)
        };
        if let Some(node) = found {
            return Ok(node);
        }
        let node = self.wake(id)?;
        self.make_room();
        Ok(node)
    }

    /// Counts a lookup of an inode and makes it known if it was not. `fd` is its O_PATH descriptor if there
    /// is one already, `place` where it was found. Returns the node id.
    ///
    /// # Errors
    /// `ENOMEM` if the guest knows too many inodes, `ENFILE` if one without a name cannot be kept open.
    pub(crate) fn remember(
        &self,
        identity: Identity,
        fd: Option<OwnedFd>,
        place: Option<(u64, Name<'_>)>,
    ) -> FsResult<u64> {
        let place = place.map(|(parent, name)| table::Place::new(parent, name));
        let (id, crowded) = {
            let mut table = self.lock();
            let id = match table.find(&identity) {
                Some(id) => {
                    table.meet_again(id, fd, place);
                    id
                }
                None if table.len() >= self.limits.nodes => return Err(Errno::NOMEM),
                None => {
                    let full = table.open() >= self.limits.node_fds + self.limits.node_fds / 4;
                    let fd = match fd {
                        Some(_) if full && place.is_some() => None,
                        Some(_) if full => return Err(Errno::NFILE),
                        fd => fd.map(Arc::new),
                    };
                    table.insert(Entry::new(identity, fd, place))?
                }
            };
            (id, table.open() > self.limits.node_fds)
        };
        if crowded {
            self.make_room();
        }
        Ok(id)
    }

    /// Counts a lookup of an inode that is known already; None if it is not.
    pub(crate) fn recognize(&self, identity: &Identity, parent: u64, name: Name<'_>) -> Option<u64> {
        let mut table = self.lock();
        let id = table.find(identity)?;
        table.meet_again(id, None, Some(table::Place::new(parent, name)));
        Some(id)
    }

    /// Takes back `count` lookups. More than there were are as good as all; the root stays.
    pub(crate) fn forget(&self, id: u64, count: u64) {
        self.lock().forget(id, count);
    }

    /// Forgets everything but the root.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Before a name goes: an inode that is only known by it gets its descriptor back. Failure is no error;
    /// then the inode is stale, as it would be had the host removed it.
    pub(crate) fn before_removal(&self, parent: u64, name: Name<'_>) {
        let dormant = {
            let mut table = self.lock();
            let place = table::Place::new(parent, name);
            table.at(&place).filter(|id| table.get_mut(*id).is_some_and(|entry| !entry.is_awake()))
        };
        if let Some(id) = dormant {
            // See above for why the result does not matter.
            let _ = self.wake(id);
        }
    }

    /// A name is gone.
    pub(crate) fn removed(&self, parent: u64, name: Name<'_>) {
        self.lock().unplace(&table::Place::new(parent, name));
    }

    /// A name became another, replacing what was there or exchanging places with it.
    pub(crate) fn moved(&self, from: (u64, Name<'_>), to: (u64, Name<'_>), exchange: bool) {
        let from = table::Place::new(from.0, from.1);
        let to = table::Place::new(to.0, to.1);
        let mut table = self.lock();
        let source = table.unplace(&from);
        let target = table.unplace(&to);
        if let Some(id) = source {
            table.place(id, to);
        }
        if let Some(id) = target.filter(|_| exchange) {
            table.place(id, from);
        }
    }

    /// Nobody panics while holding the lock; if one did, the table is still whole between its methods.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

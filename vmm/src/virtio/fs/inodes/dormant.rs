//! Closing descriptors of inodes that can be reopened by name, and reopening them.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::table::Place;
use super::{Node, Nodes};
use crate::virtio::fs::filesystem::FsResult;
use crate::virtio::fs::protocol::Name;
use crate::virtio::fs::sys::{self, Identity};

/// How many dormant directories may lie above a dormant inode: paths are rarely 30 deep.
const MAX_DEPTH: usize = 512;
/// Entries put to sleep at once.
const BATCH: usize = 64;
/// Entries looked at for that.
const STEPS: usize = 1024;

impl Nodes {
    /// Reopens a dormant inode, and the dormant directories above it, from the nearest awake one.
    pub(super) fn wake(&self, id: u64) -> FsResult<Node> {
        let (mut base, path) = self.way_to(id)?;
        for (id, place) in path.into_iter().rev() {
            let name = Name::new(&place.name)?;
            let fd = sys::open_path(base.fd.as_fd(), name).map_err(stale)?;
            let found = Identity::of(&sys::stat(fd.as_fd())?);
            let mut table = self.lock();
            let entry = table.get_mut(id).ok_or(Errno::STALE)?;
            if !self.is_same(&entry.identity, &found) {
                return Err(Errno::STALE);
            }
            base = table.wake(id, fd)?;
        }
        Ok(base)
    }

    /// The nearest awake node at or above `id` and the dormant ones below it, lowest first.
    fn way_to(&self, id: u64) -> FsResult<(Node, Vec<(u64, Place)>)> {
        let mut table = self.lock();
        let mut path = Vec::new();
        let mut at = id;
        while path.len() < MAX_DEPTH {
            let entry = table.get_mut(at).ok_or(Errno::STALE)?;
            if let Some(node) = entry.node(at) {
                return Ok((node, path));
            }
            let place = entry.place().cloned().ok_or(Errno::STALE)?;
            let parent = place.parent;
            path.push((at, place));
            at = parent;
        }
        Err(Errno::STALE)
    }

    /// Closes descriptors until there are few enough, of inodes that are found again where they were last
    /// seen. One thread at a time; the others go on.
    pub(super) fn make_room(&self) {
        if self.lock().open() <= self.limits.node_fds || self.evicting.swap(true, Ordering::Acquire) {
            return;
        }
        // Two rounds: the first may only clear the marks of recent use.
        for _ in 0..2 {
            let sleepy = self.lock().sleepy(BATCH, STEPS);
            for id in sleepy {
                self.put_to_sleep(id);
            }
            if self.lock().open() <= self.limits.node_fds {
                break;
            }
        }
        self.evicting.store(false, Ordering::Release);
    }

    fn put_to_sleep(&self, id: u64) {
        let Some((place, identity)) = self.lock().get_mut(id).and_then(|entry| {
            let place = entry.place()?.clone();
            Some((place, entry.identity))
        }) else {
            return;
        };
        // Closed only after the lock is released: closing may wait for the host's file system.
        let closed = if self.is_at(&place, &identity) {
            self.lock().sleep(id)
        } else {
            // Renamed or deleted on the host: it keeps its descriptor for good.
            let mut table = self.lock();
            if table.at(&place) == Some(id) {
                table.unplace(&place);
            }
            None
        };
        drop::<Option<Arc<_>>>(closed);
    }

    fn is_same(&self, known: &Identity, found: &Identity) -> bool {
        known == found || (self.private && known.file_type == found.file_type)
    }

    fn is_at(&self, place: &Place, identity: &Identity) -> bool {
        if self.private {
            return true;
        }
        let Ok(parent) = self.wake(place.parent) else { return false };
        let Ok(name) = Name::new(&place.name) else { return false };
        sys::stat_at(parent.fd.as_fd(), name).is_ok_and(|stat| Identity::of(&stat) == *identity)
    }
}

fn stale(errno: Errno) -> Errno {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Errno::STALE,
        errno => errno,
    }
}

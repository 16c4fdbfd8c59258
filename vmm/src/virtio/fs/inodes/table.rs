//! The inode table itself: memory only, no system calls.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::CString;
use std::hash::BuildHasher;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::Node;
use crate::virtio::fs::filesystem::FsResult;
use crate::virtio::fs::protocol::{Name, ROOT_ID};
use crate::virtio::fs::sys::{Identity, InodeKey};

/// A directory, by node id, and a name in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) parent: u64,
    pub(super) name: Box<std::ffi::CStr>,
}

impl Place {
    pub(super) fn new(parent: u64, name: Name<'_>) -> Self {
        Self { parent, name: CString::from(name.as_c_str()).into_boxed_c_str() }
    }
}

/// One known inode.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    /// Lookups that the guest has not taken back.
    lookups: u64,
    /// None: dormant.
    fd: Option<Arc<OwnedFd>>,
    place: Option<Place>,
    /// Used since the hand of the clock last passed.
    pub(super) recent: bool,
}

impl Entry {
    pub(super) fn new(identity: Identity, fd: Option<Arc<OwnedFd>>, place: Option<Place>) -> Self {
        Self { identity, lookups: 1, fd, place, recent: true }
    }

    pub(super) fn is_awake(&self) -> bool {
        self.fd.is_some()
    }

    pub(super) fn node(&self, id: u64) -> Option<Node> {
        let fd = Arc::clone(self.fd.as_ref()?);
        Some(Node { id, identity: self.identity, fd })
    }

    pub(super) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Awake, with a place to wake up from, and not in use at this moment.
    pub(super) fn may_sleep(&self) -> bool {
        self.place.is_some() && self.fd.as_ref().is_some_and(|fd| Arc::strong_count(fd) == 1)
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts the entries that this slot has held, so that ids are not reused.
    generation: u32,
    entry: Option<Entry>,
}

/// Slots by id: the low half of a node id is the slot, the high half its generation.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: HashMap<InodeKey, u64>,
    /// By a keyed hash of the place; of two places with one hash only the later is found.
    by_place: HashMap<u64, u64>,
    hasher: RandomState,
    open: usize,
    hand: usize,
}

fn slot_of(id: u64) -> usize {
    (id & u64::from(u32::MAX)) as usize
}

fn generation_of(id: u64) -> u32 {
    (id >> 32) as u32
}

impl Table {
    pub(super) fn new(root: Entry) -> Self {
        let by_key = HashMap::from([(root.identity.key, ROOT_ID)]);
        // Slot 0 stays empty: the root is 1.
        let slots = vec![Slot::default(), Slot { generation: 0, entry: Some(root) }];
        let (by_place, hasher) = (HashMap::new(), RandomState::new());
        Self { slots, free: Vec::new(), by_key, by_place, hasher, open: 0, hand: 0 }
    }

    /// Known inodes, the root not counted.
    pub(super) fn len(&self) -> usize {
        self.by_key.len() - 1
    }

    /// Descriptors held, the root's not counted.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(slot_of(id))?;
        if slot.generation == generation_of(id) { slot.entry.as_mut() } else { None }
    }

    /// The id of an inode. An entry with the same numbers but another type is of an inode that the host has
    /// deleted since; it gives up the numbers.
    pub(super) fn find(&mut self, identity: &Identity) -> Option<u64> {
        let id = *self.by_key.get(&identity.key)?;
        let entry = self.get_mut(id)?;
        if entry.identity == *identity {
            return Some(id);
        }
        None
    }

    pub(super) fn insert(&mut self, entry: Entry) -> FsResult<u64> {
        let index = if let Some(index) = self.free.pop() {
            index as usize
        } else {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        };
        let low = u32::try_from(index).map_err(|_| Errno::NOMEM)?;
        let slot = self.slots.get_mut(index).ok_or(Errno::NOMEM)?;
        slot.generation = slot.generation.wrapping_add(1);
        let id = u64::from(slot.generation) << 32 | u64::from(low);
        self.open += usize::from(entry.fd.is_some());
        self.by_key.insert(entry.identity.key, id);
        if let Some(place) = &entry.place {
            self.by_place.insert(self.hasher.hash_one(place), id);
        }
        slot.entry = Some(entry);
        Ok(id)
    }

    /// One more lookup of a known inode, found at `place`.
    pub(super) fn meet_again(&mut self, id: u64, fd: Option<OwnedFd>, place: Option<Place>) {
        let Some(entry) = self.get_mut(id) else { return };
        entry.lookups = entry.lookups.saturating_add(1);
        entry.recent = true;
        let wakes = entry.fd.is_none() && fd.is_some();
        if wakes {
            entry.fd = fd.map(Arc::new);
        }
        let known = entry.place == place;
        if wakes {
            self.open += 1;
        }
        if let Some(place) = place.filter(|_| !known && id != ROOT_ID) {
            self.place(id, place);
        }
    }

    /// Gives a dormant entry its descriptor back, and returns the node either way.
    pub(super) fn wake(&mut self, id: u64, fd: OwnedFd) -> FsResult<Node> {
        let entry = self.get_mut(id).ok_or(Errno::STALE)?;
        let was_dormant = entry.fd.is_none();
        if was_dormant {
            entry.fd = Some(Arc::new(fd));
        }
        let node = entry.node(id).ok_or(Errno::STALE);
        self.open += usize::from(was_dormant);
        node
    }

    /// Takes the descriptor of an entry that may sleep, for the caller to close.
    pub(super) fn sleep(&mut self, id: u64) -> Option<Arc<OwnedFd>> {
        let entry = self.get_mut(id)?;
        if !entry.may_sleep() {
            return None;
        }
        let fd = entry.fd.take()?;
        self.open -= 1;
        Some(fd)
    }

    pub(super) fn forget(&mut self, id: u64, count: u64) {
        if id == ROOT_ID {
            return;
        }
        let Some(entry) = self.get_mut(id) else { return };
        entry.lookups = entry.lookups.saturating_sub(count);
        if entry.lookups == 0 {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u64) {
        let index = slot_of(id);
        let Some(entry) = self.slots.get_mut(index).and_then(|slot| slot.entry.take()) else { return };
        self.open -= usize::from(entry.fd.is_some());
        if self.by_key.get(&entry.identity.key) == Some(&id) {
            self.by_key.remove(&entry.identity.key);
        }
        if let Some(place) = &entry.place {
            let hash = self.hasher.hash_one(place);
            if self.by_place.get(&hash) == Some(&id) {
                self.by_place.remove(&hash);
            }
        }
        self.free.push(index as u32);
    }

    pub(super) fn clear(&mut self) {
        for index in 2..self.slots.len() {
            if let Some(slot) = self.slots.get(index).filter(|slot| slot.entry.is_some()) {
                let id = u64::from(slot.generation) << 32 | index as u64;
                self.remove(id);
            }
        }
    }

    /// Which entry was last seen at a place.
    pub(super) fn at(&mut self, place: &Place) -> Option<u64> {
        let id = *self.by_place.get(&self.hasher.hash_one(place))?;
        let entry = self.get_mut(id)?;
        (entry.place.as_ref() == Some(place)).then_some(id)
    }

    /// Takes the entry at a place away from it.
    pub(super) fn unplace(&mut self, place: &Place) -> Option<u64> {
        let id = self.at(place)?;
        self.by_place.remove(&self.hasher.hash_one(place));
        self.get_mut(id)?.place = None;
        Some(id)
    }

    /// Records where an entry is now.
    pub(super) fn place(&mut self, id: u64, place: Place) {
        let hash = self.hasher.hash_one(&place);
        let Some(entry) = self.get_mut(id) else { return };
        let old = entry.place.replace(place);
        if let Some(old) = old {
            let hash = self.hasher.hash_one(&old);
            if self.by_place.get(&hash) == Some(&id) {
                self.by_place.remove(&hash);
            }
        }
        self.by_place.insert(hash, id);
    }

    /// The next entries, at most `count` of `steps` looked at, that may sleep and were not used lately.
    pub(super) fn sleepy(&mut self, count: usize, steps: usize) -> Vec<u64> {
        let mut found = Vec::new();
        for _ in 0..steps.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(slot) = self.slots.get_mut(self.hand) else { break };
            let Some(entry) = &mut slot.entry else { continue };
            if self.hand == ROOT_ID as usize || !entry.may_sleep() || std::mem::take(&mut entry.recent) {
                continue;
            }
            found.push(u64::from(slot.generation) << 32 | self.hand as u64);
            if found.len() == count {
                break;
            }
        }
        found
    }
}

//! All sockets of the device: slots with generations (so that late events cannot hit a newcomer), the connections
//! by ports, who wants to send, and deadlines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::connection::{Connection, Lingering};
use super::greeting::Greeting;
use super::packet::{Header, Ports};

/// Most sockets at a time, in whatever state.
pub(super) const MAX_SLOTS: usize = 1024;

/// What a slot holds.
#[derive(Debug)]
pub(super) enum Slot {
    /// A host process that has not said which port it wants.
    Greeting(Greeting, OwnedFd),
    /// A guest's REQUEST to a host socket whose backlog is full.
    Dialing(Dialing),
    Open(Connection),
    Lingering(Lingering),
}

/// A connection to be tried again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialing {
    pub(super) ports: Ports,
    pub(super) give_up: Instant,
    /// The guest's credit from its REQUEST.
    pub(super) request: Header,
}

#[derive(Debug, Default)]
struct Entry {
    generation: u32,
    slot: Option<Slot>,
    queued: bool,
    deadline: Option<Instant>,
}

/// The slots and their indexes.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<usize>,
    by_ports: BTreeMap<Ports, usize>,
    ready: VecDeque<usize>,
    deadlines: BTreeSet<(Instant, usize)>,
}

impl Table {
    /// Sockets in use.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Puts something into a free slot; `None` if there is none.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<usize> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.entries.len() < MAX_SLOTS => {
                self.entries.push(Entry::default());
                self.entries.len() - 1
            }
            None => return None,
        };
        let entry = self.entries.get_mut(index)?;
        // Tokens of generation 0 belong to the queues.
        entry.generation = entry.generation.wrapping_add(1).max(1);
        entry.slot = Some(slot);
        Some(index)
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, index: usize) -> Option<Slot> {
        self.set_deadline(index, None);
        let slot = self.entries.get_mut(index)?.slot.take()?;
        self.free.push(index);
        let ports = match &slot {
            Slot::Open(connection) => Some(connection.ports),
            Slot::Dialing(dialing) => Some(dialing.ports),
            Slot::Greeting(..) | Slot::Lingering(_) => None,
        };
        if let Some(ports) = ports {
            self.by_ports.remove(&ports);
        }
        Some(slot)
    }

    /// Changes what an occupied slot holds, or frees it; names are the caller's business.
    pub(super) fn transform(&mut self, index: usize, change: impl FnOnce(Slot) -> Option<Slot>) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let Some(old) = entry.slot.take() else { return };
        entry.slot = change(old);
        if entry.slot.is_none() {
            self.free.push(index);
            self.set_deadline(index, None);
        }
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.entries.get_mut(index)?.slot.as_mut()
    }

    /// What an epoll event of the slot's socket is registered with.
    pub(super) fn token(&self, index: usize) -> u64 {
        let generation = self.entries.get(index).map_or(0, |entry| entry.generation);
        u64::from(generation) << 32 | index as u64
    }

    /// The slot of a token, unless it is somebody else's now.
    pub(super) fn index(&self, token: u64) -> Option<usize> {
        let index = (token & u64::from(u32::MAX)) as usize;
        let entry = self.entries.get(index)?;
        (entry.slot.is_some() && u64::from(entry.generation) == token >> 32).then_some(index)
    }

    /// Names a slot; false if the name is taken.
    pub(super) fn name(&mut self, ports: Ports, index: usize) -> bool {
        if self.by_ports.contains_key(&ports) {
            return false;
        }
        self.by_ports.insert(ports, index);
        true
    }

    pub(super) fn unname(&mut self, ports: Ports) {
        self.by_ports.remove(&ports);
    }

    pub(super) fn find(&self, ports: Ports) -> Option<usize> {
        self.by_ports.get(&ports).copied()
    }

    /// Queues a connection behind the others that want to send.
    pub(super) fn enqueue(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index)
            && !entry.queued
        {
            entry.queued = true;
            self.ready.push_back(index);
        }
    }

    /// The next that wanted to send; it may be gone or have changed its mind.
    pub(super) fn dequeue(&mut self) -> Option<usize> {
        let index = self.ready.pop_front()?;
        if let Some(entry) = self.entries.get_mut(index) {
            entry.queued = false;
        }
        Some(index)
    }

    /// Moves one that could not be served before all others.
    pub(super) fn requeue_first(&mut self, index: usize) {
        self.ready.retain(|other| *other != index);
        if let Some(entry) = self.entries.get_mut(index) {
            entry.queued = true;
            self.ready.push_front(index);
        }
    }

    /// Whether anybody may want to send.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn set_deadline(&mut self, index: usize, deadline: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        if let Some(old) = entry.deadline.take() {
            self.deadlines.remove(&(old, index));
        }
        entry.deadline = deadline;
        if let Some(new) = deadline {
            self.deadlines.insert((new, index));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A slot whose deadline has passed; it has none afterwards.
    pub(super) fn expired(&mut self, now: Instant) -> Option<usize> {
        let &(at, index) = self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.set_deadline(index, None);
        Some(index)
    }

    /// Slots in use, in no particular order.
    pub(super) fn indexes(&self) -> Vec<usize> {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.slot.is_some())
            .map(|(index, _)| index)
            .collect()
    }
}

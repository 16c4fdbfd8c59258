//! A device's end of one virtqueue: validated chains in, used buffers and interrupts out.
//!
//! Refuses every chain that the specification forbids (virtio 1.2, section 2.7): loops, readable buffers after
//! writable ones, ranges outside guest memory, more than 1024 buffers. A queue whose available index cannot be
//! right is dead until the driver resets the device, so that it cannot make a worker spin.

use std::num::Wrapping;
use std::sync::atomic::{Ordering, fence};

use virtio_bindings::bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VRING_AVAIL_F_NO_INTERRUPT};
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::device::{ActiveQueue, GuestRam};
use super::guest_iovec::{GuestIovec, MAX_BUFFERS};

/// A well-formed descriptor chain.
#[derive(Debug)]
pub(crate) struct Chain<'m> {
    /// Identifies the chain in [`DeviceQueue::complete`].
    pub(crate) head: u16,
    /// What the driver gives.
    pub(crate) readable: GuestIovec<'m>,
    /// Where the device answers.
    pub(crate) writable: GuestIovec<'m>,
}

/// A chain that breaks the specification; to be completed with length 0 and otherwise ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadChain {
    pub(crate) head: u16,
}

/// A queue after activation.
#[derive(Debug)]
pub(crate) struct DeviceQueue {
    queue: Queue,
    kick: EventFd,
    event_idx: bool,
    /// The used index at the last [`DeviceQueue::take_interrupt`].
    announced: u16,
    broken: bool,
}

impl DeviceQueue {
    /// `features` are the negotiated ones.
    pub(crate) fn new(active: ActiveQueue, features: u64) -> Self {
        let ActiveQueue { mut queue, kick } = active;
        let event_idx = features & (1 << VIRTIO_RING_F_EVENT_IDX) != 0;
        queue.set_event_idx(event_idx);
        let announced = queue.next_used();
        Self { queue, kick, event_idx, announced, broken: false }
    }

    /// The guest's notification, to be watched by the worker and emptied with [`Self::clear_kick`].
    pub(crate) fn kick(&self) -> &EventFd {
        &self.kick
    }

    pub(crate) fn clear_kick(&self) {
        // Failure means that there was no kick; both ways there is nothing left to read.
        let _ = self.kick.read();
    }

    /// The next chain, `None` if the driver has given no more.
    pub(crate) fn pop<'m>(&mut self, memory: &'m GuestRam) -> Option<Result<Chain<'m>, BadChain>> {
        if !self.has_more(memory) {
            return None;
        }
        // The iterator refuses an available index that is ahead by more than the queue's size.
        let next = match self.queue.iter(memory) {
            Ok(mut available) => available.next(),
            Err(_) => None,
        };
        let Some(chain) = next else {
            self.broken = true;
            return None;
        };
        let head = chain.head_index();
        Some(parse(memory, chain).ok_or(BadChain { head }))
    }

    /// Gives the last `count` popped chains back, as if they had not been popped.
    pub(crate) fn unpop(&mut self, count: u16) {
        self.queue.set_next_avail(self.queue.next_avail().wrapping_sub(count));
    }

    /// Returns a chain to the driver with `len` bytes written to its writable buffers.
    pub(crate) fn complete(&mut self, memory: &GuestRam, head: u16, len: u32) {
        // It fails only for a head outside the table, which was not a chain.
        let _ = self.queue.add_used(memory, head, len);
    }

    /// Returns several chains (head, length) at once: the driver sees all of them or none.
    pub(crate) fn complete_together(&mut self, memory: &GuestRam, chains: &[(u16, u32)]) {
        let Some(((head, len), others)) = chains.split_last() else { return };
        let first = self.queue.next_used();
        for (offset, &(head, len)) in (0_u16..).zip(others) {
            let slot = u64::from(first.wrapping_add(offset) % self.queue.size());
            // `struct virtq_used_elem`: le32 id, le32 len.
            let element = u64::from(head) | u64::from(len) << 32;
            // The ring was validated with the queue.
            let _ = memory.write_obj(element.to_le(), GuestAddress(self.queue.used_ring() + 4 + 8 * slot));
        }
        // Adding the last one publishes the index that covers them all.
        self.queue.set_next_used(first.wrapping_add(others.len() as u16));
        self.complete(memory, *head, *len);
    }

    /// Whether the driver wants an interrupt for what was completed since the last call (virtio 1.2, section
    /// 2.7.7.2 and 2.7.10).
    pub(crate) fn take_interrupt(&mut self, memory: &GuestRam) -> bool {
        let new = Wrapping(self.queue.next_used());
        let old = Wrapping(std::mem::replace(&mut self.announced, new.0));
        if new == old {
            return false;
        }
        // The used index must be visible before the driver's wish is read, or both sides could wait for each other.
        fence(Ordering::SeqCst);
        let available = self.queue.avail_ring();
        let event = available + 4 + 2 * u64::from(self.queue.size());
        let wish = memory
            .load::<u16>(GuestAddress(if self.event_idx { event } else { available }), Ordering::Relaxed);
        // An unreadable wish cannot happen in a validated queue; an interrupt too many does no harm.
        let Ok(wish) = wish.map(u16::from_le) else { return true };
        if self.event_idx {
            new - Wrapping(wish) - Wrapping(1) < new - old
        } else {
            u32::from(wish) & VRING_AVAIL_F_NO_INTERRUPT == 0
        }
    }

    /// Asks for a kick at the next chain. True: chains came in meanwhile, go on without waiting.
    pub(crate) fn arm(&mut self, memory: &GuestRam) -> bool {
        if self.broken {
            return false;
        }
        self.queue.enable_notification(memory).unwrap_or_else(|_| {
            self.broken = true;
            false
        })
    }

    /// Saves the guest useless kicks while the worker is busy with the queue anyway.
    pub(crate) fn disarm(&mut self, memory: &GuestRam) {
        // Only advice to the driver: a kick too many does no harm.
        let _ = self.queue.disable_notification(memory);
    }

    /// Whether the driver has given chains that were not popped yet.
    pub(crate) fn has_more(&mut self, memory: &GuestRam) -> bool {
        if self.broken {
            return false;
        }
        let Ok(index) = self.queue.avail_idx(memory, Ordering::Acquire) else {
            self.broken = true;
            return false;
        };
        index != Wrapping(self.queue.next_avail())
    }

    /// Chains that the ring can hold.
    pub(crate) fn size(&self) -> usize {
        usize::from(self.queue.size())
    }
}

fn parse<'m>(memory: &'m GuestRam, chain: DescriptorChain<&'m GuestRam>) -> Option<Chain<'m>> {
    let head = chain.head_index();
    let (mut readable, mut writable) = (GuestIovec::default(), GuestIovec::default());
    // The iterator just stops at a loop, a bad index or an unreadable table: then the last descriptor promised more.
    let mut unfinished = true;
    // An indirect table may hold 65535 empty descriptors; nobody needs more of them than of buffers.
    for descriptor in chain.take(MAX_BUFFERS) {
        unfinished = descriptor.has_next();
        let list = if descriptor.is_write_only() {
            &mut writable
        } else if writable.buffers() == 0 {
            &mut readable
        } else {
            return None;
        };
        list.push(memory, descriptor.addr(), descriptor.len()).ok()?;
    }
    (!unfinished).then_some(Chain { head, readable, writable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::rng::Rng;
    use crate::virtio::test_utils::{MockDriver, publish_hostile_chains, readable, writable};

    fn queue() -> (MockDriver, DeviceQueue) {
        let (driver, mut context) = MockDriver::prepare(&Rng::new(), 1 << VIRTIO_RING_F_EVENT_IDX);
        let queue = DeviceQueue::new(context.queues.remove(0), context.features);
        (driver, queue)
    }

    #[test]
    fn an_impossible_available_index_kills_the_queue() {
        let (mut driver, mut queue) = queue();
        driver.queues[0].add(&[readable(0, 1)]);
        driver.queues[0].forge_available_index(0x8000);
        assert!(queue.has_more(&driver.ram));
        assert!(queue.pop(&driver.ram).is_none());
        // A worker that asked again and again would never sleep.
        assert!(!queue.has_more(&driver.ram) && !queue.arm(&driver.ram));
        driver.queues[0].forge_available_index(1);
        assert!(queue.pop(&driver.ram).is_none());
    }

    #[test]
    fn hostile_chains_are_told_from_good_ones() {
        let (mut driver, mut queue) = queue();
        let count = publish_hostile_chains(&mut driver, 0);
        let mut bad = 0;
        while let Some(popped) = queue.pop(&driver.ram) {
            match popped {
                Err(_) => bad += 1,
                Ok(chain) => assert!(chain.readable.is_empty() && chain.writable.is_empty()),
            }
        }
        // The two empty ones are not wrong, two heads are outside the table.
        assert_eq!(bad, count - 2 + 2);
    }

    #[test]
    fn unpop_gives_the_same_chains_again() {
        let (mut driver, mut queue) = queue();
        let heads = [driver.queues[0].add(&[writable(0, 1)]), driver.queues[0].add(&[writable(8, 1)])];
        for _ in 0..2 {
            let popped: Vec<u16> = (0..2).map(|_| queue.pop(&driver.ram).unwrap().unwrap().head).collect();
            assert_eq!(popped, heads);
            assert!(queue.pop(&driver.ram).is_none());
            queue.unpop(2);
        }
    }

    #[test]
    fn one_interrupt_for_many_chains() {
        let (mut driver, mut queue) = queue();
        assert!(!queue.take_interrupt(&driver.ram));
        for _ in 0..3 {
            driver.queues[0].add(&[writable(0, 1)]);
        }
        while let Some(Ok(chain)) = queue.pop(&driver.ram) {
            queue.complete(&driver.ram, chain.head, 0);
        }
        assert!(queue.take_interrupt(&driver.ram));
        assert!(!queue.take_interrupt(&driver.ram));
        // The driver has seen none of them, so it has not asked for another interrupt.
        driver.queues[0].add(&[writable(0, 1)]);
        let head = queue.pop(&driver.ram).unwrap().unwrap().head;
        queue.complete(&driver.ram, head, 0);
        assert!(!queue.take_interrupt(&driver.ram));
    }

    #[test]
    fn chains_completed_together_appear_at_once_and_interrupt_for_any_of_them() {
        let (mut driver, mut queue) = queue();
        // Somewhere in the middle of the ring, so that the three wrap.
        for _ in 0..62 {
            driver.queues[0].add(&[writable(0, 1)]);
            let head = queue.pop(&driver.ram).unwrap().unwrap().head;
            queue.complete(&driver.ram, head, 0);
            driver.queues[0].take_used().unwrap();
        }
        assert!(queue.take_interrupt(&driver.ram));
        driver.queues[0].want_interrupts(true);
        let heads: Vec<u16> = (0..3).map(|_| driver.queues[0].add(&[writable(0, 1)])).collect();
        let mut completed = Vec::new();
        for len in 1..=3 {
            completed.push((queue.pop(&driver.ram).unwrap().unwrap().head, len));
        }
        assert!(driver.queues[0].take_used().is_none());
        queue.complete_together(&driver.ram, &completed);
        // The driver asked for an interrupt at the first of them.
        assert!(queue.take_interrupt(&driver.ram));
        for (head, len) in heads.into_iter().zip(1..=3) {
            assert_eq!(driver.queues[0].take_used(), Some((head, len)));
        }
        assert!(driver.queues[0].take_used().is_none());
    }
}

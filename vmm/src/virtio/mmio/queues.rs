//! From what the driver wrote about its queues to queues that can be trusted.

use virtio_queue::{Queue, QueueT};
use vm_memory::GuestAddress;

use super::GuestRam;

/// VIRTIO_F_EVENT_IDX.
const FEATURE_EVENT_IDX: u64 = 1 << 29;

/// One queue as the driver describes it; nothing is checked yet.
#[derive(Debug, Default, Clone)]
pub(super) struct QueueSetup {
    pub(super) size: u32,
    pub(super) ready: bool,
    pub(super) descriptors: u64,
    pub(super) available: u64,
    pub(super) used: u64,
}

/// The state after a reset.
pub(super) fn fresh(max_sizes: &[u16]) -> Vec<QueueSetup> {
    max_sizes.iter().map(|max| QueueSetup { size: u32::from(*max), ..QueueSetup::default() }).collect()
}

/// Builds the queues that are ready: the first n, n at least 1. `None` if one of them is not valid.
pub(super) fn build(
    setups: &[QueueSetup],
    max_sizes: &[u16],
    features: u64,
    memory: &GuestRam,
) -> Option<Vec<Queue>> {
    let count = setups.iter().take_while(|setup| setup.ready).count();
    if count == 0 || setups.iter().skip(count).any(|setup| setup.ready) {
        return None;
    }
    setups
        .iter()
        .zip(max_sizes)
        .take(count)
        .map(|(setup, max)| build_one(setup, *max, features, memory))
        .collect()
}

fn build_one(setup: &QueueSetup, max: u16, features: u64, memory: &GuestRam) -> Option<Queue> {
    let mut queue = Queue::new(max).ok()?;
    queue.try_set_size(u16::try_from(setup.size).ok()?).ok()?;
    queue.try_set_desc_table_address(GuestAddress(setup.descriptors)).ok()?;
    queue.try_set_avail_ring_address(GuestAddress(setup.available)).ok()?;
    queue.try_set_used_ring_address(GuestAddress(setup.used)).ok()?;
    queue.set_event_idx(features & FEATURE_EVENT_IDX != 0);
    queue.set_ready(true);
    queue.is_valid(memory).then_some(queue)
}

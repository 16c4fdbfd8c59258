//! The worker of one queue.

use std::io;
use std::sync::Arc;

use vmm_sys_util::epoll::{Epoll, EventSet};

use super::disk::Disk;
use super::request;
use crate::virtio::device::{ActiveQueue, GuestRam, Interrupt};
use crate::virtio::device_queue::{BadChain, DeviceQueue};
use crate::virtio::worker::{Service, Wait, watch};

/// Requests done before the driver hears of them and the worker looks for other events.
const BATCH: usize = 8;

pub(super) struct BlockService {
    memory: GuestRam,
    queue: DeviceQueue,
    interrupt: Arc<Interrupt>,
    disk: Arc<Disk>,
    write_through: bool,
}

impl BlockService {
    pub(super) fn new(
        memory: GuestRam,
        queue: ActiveQueue,
        interrupt: Arc<Interrupt>,
        features: u64,
        disk: Arc<Disk>,
        write_through: bool,
    ) -> Self {
        let queue = DeviceQueue::new(queue, features);
        Self { memory, queue, interrupt, disk, write_through }
    }
}

impl Service for BlockService {
    fn start(&mut self, epoll: &Epoll) -> io::Result<()> {
        watch(epoll, self.queue.kick(), 0)
    }

    fn event(&mut self, _epoll: &Epoll, _token: u64, _events: EventSet) {
        self.queue.clear_kick();
    }

    fn run(&mut self, _epoll: &Epoll) -> Wait {
        self.queue.disarm(&self.memory);
        for _ in 0..BATCH {
            let (head, written) = match self.queue.pop(&self.memory) {
                None => break,
                Some(Ok(chain)) => (chain.head, request::serve(&self.disk, chain, self.write_through)),
                Some(Err(BadChain { head })) => (head, 0),
            };
            self.queue.complete(&self.memory, head, written);
        }
        if self.queue.take_interrupt(&self.memory) {
            self.interrupt.signal_queue();
        }
        if self.queue.has_more(&self.memory) || self.queue.arm(&self.memory) {
            Wait::Not
        } else {
            Wait::Event
        }
    }
}

//! The worker: fills the buffers of each request.

use std::io;
use std::sync::Arc;

use vmm_sys_util::epoll::{Epoll, EventSet};

use crate::virtio::device::{ActivateError, ActivationContext, GuestRam, Interrupt};
use crate::virtio::device_queue::{BadChain, DeviceQueue};
use crate::virtio::worker::{Service, Wait, watch};

/// Most bytes for one request.
const MAX_REQUEST: usize = 64 * 1024;
/// Requests served before the worker looks for other events.
const BATCH: usize = 16;

pub(super) struct RngService {
    memory: GuestRam,
    queue: DeviceQueue,
    interrupt: Arc<Interrupt>,
}

impl RngService {
    pub(super) fn new(mut context: ActivationContext) -> Result<Self, ActivateError> {
        let active = context.queues.pop().ok_or_else(|| ActivateError("rng has no queue".to_owned()))?;
        let queue = DeviceQueue::new(active, context.features);
        Ok(Self { memory: context.memory, queue, interrupt: context.interrupt })
    }
}

impl Service for RngService {
    fn start(&mut self, epoll: &Epoll) -> io::Result<()> {
        watch(epoll, self.queue.kick(), 0)
    }

    fn event(&mut self, _epoll: &Epoll, _token: u64, _events: EventSet) {
        self.queue.clear_kick();
    }

    fn run(&mut self, _epoll: &Epoll) -> Wait {
        self.queue.disarm(&self.memory);
        for _ in 0..BATCH {
            let (head, filled) = match self.queue.pop(&self.memory) {
                None => break,
                Some(Ok(mut chain)) => {
                    chain.writable.truncate(MAX_REQUEST);
                    (chain.head, chain.writable.fill_random().unwrap_or(0))
                }
                Some(Err(BadChain { head })) => (head, 0),
            };
            self.queue.complete(&self.memory, head, filled as u32);
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

//! From the guest to the tap.

use std::io;
use std::sync::Arc;

use vmm_sys_util::epoll::{Epoll, EventSet};

use super::frame::Rules;
use super::tap::Tap;
use crate::virtio::device::{ActiveQueue, GuestRam, Interrupt};
use crate::virtio::device_queue::{BadChain, Chain, DeviceQueue};
use crate::virtio::worker::{Service, Wait, watch, watch_edges};

const KICK: u64 = 0;
const TAP: u64 = 1;
/// Frames sent before the driver hears of them and the worker looks for other events.
const BATCH: usize = 64;

pub(super) struct TxService {
    memory: GuestRam,
    queue: DeviceQueue,
    interrupt: Arc<Interrupt>,
    tap: Arc<Tap>,
    rules: Rules,
    /// The tap took no more; an edge will tell when it does.
    blocked: bool,
}

impl TxService {
    pub(super) fn new(
        memory: GuestRam,
        queue: ActiveQueue,
        interrupt: Arc<Interrupt>,
        tap: Arc<Tap>,
        rules: Rules,
    ) -> Self {
        let queue = DeviceQueue::new(queue, rules.features);
        Self { memory, queue, interrupt, tap, rules, blocked: false }
    }

    /// Sends one frame; false if the tap is full and the frame has to be sent again.
    fn send(&self, chain: &mut Chain<'_>) -> bool {
        let Some(head) = self.rules.admit(&mut chain.readable) else { return true };
        match chain.readable.write_to(&*self.tap, head.as_bytes()) {
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }
}

impl Service for TxService {
    fn start(&mut self, epoll: &Epoll) -> io::Result<()> {
        watch(epoll, self.queue.kick(), KICK)?;
        watch_edges(epoll, &*self.tap, EventSet::OUT, TAP)
    }

    fn event(&mut self, _epoll: &Epoll, token: u64, _events: EventSet) {
        if token == TAP {
            self.blocked = false;
        } else {
            self.queue.clear_kick();
        }
    }

    fn run(&mut self, _epoll: &Epoll) -> Wait {
        self.queue.disarm(&self.memory);
        for _ in 0..BATCH {
            if self.blocked {
                break;
            }
            let head = match self.queue.pop(&self.memory) {
                None => break,
                Some(Err(BadChain { head })) => head,
                Some(Ok(mut chain)) => {
                    if !self.send(&mut chain) {
                        self.queue.unpop(1);
                        self.blocked = true;
                        break;
                    }
                    chain.head
                }
            };
            self.queue.complete(&self.memory, head, 0);
        }
        if self.queue.take_interrupt(&self.memory) {
            self.interrupt.signal_queue();
        }
        if self.blocked {
            return Wait::Event;
        }
        if self.queue.has_more(&self.memory) || self.queue.arm(&self.memory) {
            Wait::Not
        } else {
            Wait::Event
        }
    }
}

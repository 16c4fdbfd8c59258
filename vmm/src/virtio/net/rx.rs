//! From the tap to the guest.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use vmm_sys_util::epoll::{Epoll, EventSet};

use super::frame::HEADER_LEN;
use super::tap::Tap;
use crate::virtio::device::{ActiveQueue, GuestRam, Interrupt};
use crate::virtio::device_queue::{BadChain, Chain, DeviceQueue};
use crate::virtio::guest_iovec::{GuestIovec, MAX_BUFFERS};
use crate::virtio::worker::{Service, Wait, watch, watch_edges};

const KICK: u64 = 0;
const TAP: u64 = 1;
/// Frames received before the driver hears of them and the worker looks for other events.
const BATCH: usize = 64;
/// Useless buffers thrown away before the worker looks for other events.
const MAX_USELESS: usize = 256;
/// Where `num_buffers` is in the header.
const NUM_BUFFERS: usize = 10;

/// How frames are laid out for this driver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Negotiated features.
    pub(super) features: u64,
    /// VIRTIO_NET_F_MRG_RXBUF: a frame may take several chains.
    pub(super) mergeable: bool,
    /// Bytes of the longest frame with its header.
    pub(super) longest: usize,
    /// What the tap may leave to the driver (`TUN_F_*`).
    pub(super) offloads: u32,
}

pub(super) struct RxService {
    memory: GuestRam,
    queue: DeviceQueue,
    interrupt: Arc<Interrupt>,
    tap: Arc<Tap>,
    layout: Layout,
    started: bool,
    /// There may be a frame; an edge tells when there is one again.
    readable: bool,
}

/// Chains that were popped and not used yet, and what they hold.
#[derive(Default)]
struct Window<'m> {
    chains: VecDeque<Chain<'m>>,
    capacity: usize,
}

impl RxService {
    pub(super) fn new(
        memory: GuestRam,
        queue: ActiveQueue,
        interrupt: Arc<Interrupt>,
        tap: Arc<Tap>,
        layout: Layout,
    ) -> Self {
        let queue = DeviceQueue::new(queue, layout.features);
        Self { memory, queue, interrupt, tap, layout, started: false, readable: true }
    }
}

/// Pops chains until the longest frame fits; false if the driver has to give more first.
fn top_up<'m>(
    window: &mut Window<'m>,
    memory: &'m GuestRam,
    queue: &mut DeviceQueue,
    layout: Layout,
) -> bool {
    let mut useless = 0;
    loop {
        let enough =
            if layout.mergeable { window.capacity >= layout.longest } else { !window.chains.is_empty() };
        if enough {
            return true;
        }
        match queue.pop(memory) {
            Some(Ok(chain)) if chain.writable.len() > HEADER_LEN => {
                window.capacity += chain.writable.len();
                window.chains.push_back(chain);
            }
            Some(_) if !window.chains.is_empty() => {
                // A useless chain behind good ones stays until those are used.
                queue.unpop(1);
                return true;
            }
            Some(Ok(Chain { head, .. }) | Err(BadChain { head })) => {
                queue.complete(memory, head, 0);
                useless += 1;
                if useless >= MAX_USELESS {
                    return false;
                }
            }
            // All that this driver can ever give has to do.
            None => return window.chains.len() >= queue.size(),
        }
    }
}

impl<'m> Window<'m> {
    /// The buffers for the next frame.
    fn buffers(&self, mergeable: bool) -> GuestIovec<'m> {
        let mut all = GuestIovec::default();
        let count = if mergeable { self.chains.len() } else { 1 };
        for chain in self.chains.iter().take(count) {
            // One place is for the byte that tells a frame that was cut.
            if all.buffers() + chain.writable.buffers() >= MAX_BUFFERS {
                break;
            }
            all.append(&chain.writable);
        }
        all
    }

    /// Hands a frame of `len` bytes that was read into the first buffers to the driver.
    fn deliver(&mut self, memory: &GuestRam, queue: &mut DeviceQueue, len: usize) {
        let mut used = Vec::new();
        let mut left = len;
        let mut first = None;
        while left > 0 {
            let Some(chain) = self.chains.pop_front() else { break };
            let size = chain.writable.len();
            self.capacity -= size;
            let part = left.min(size);
            left -= part;
            used.push((chain.head, part as u32));
            first.get_or_insert(chain.writable);
        }
        if let Some(mut header) = first {
            header.advance(NUM_BUFFERS);
            header.copy_from(&(used.len() as u16).to_le_bytes());
        }
        queue.complete_together(memory, &used);
    }
}

impl Service for RxService {
    fn start(&mut self, epoll: &Epoll) -> io::Result<()> {
        watch(epoll, self.queue.kick(), KICK)?;
        watch_edges(epoll, &*self.tap, EventSet::IN, TAP)
    }

    fn event(&mut self, _epoll: &Epoll, token: u64, _events: EventSet) {
        if token == TAP {
            self.readable = true;
        } else {
            self.queue.clear_kick();
        }
    }

    fn run(&mut self, _epoll: &Epoll) -> Wait {
        if !std::mem::replace(&mut self.started, true) {
            // Here and not at the start: only this thread may. A tap that refuses does the work itself.
            let _ = self.tap.set_offloads(self.layout.offloads);
        }
        self.queue.disarm(&self.memory);
        let mut window = Window::default();
        let mut starved = false;
        for _ in 0..BATCH {
            if !self.readable {
                break;
            }
            if !top_up(&mut window, &self.memory, &mut self.queue, self.layout) {
                starved = true;
                break;
            }
            let buffers = window.buffers(self.layout.mergeable);
            let mut cut = [0; 1];
            match buffers.read_from(&*self.tap, &mut cut) {
                // Too long for the driver, or no frame at all: dropped, and the buffers are used for the next.
                Ok(len) if len > buffers.len() || len <= HEADER_LEN => {}
                Ok(len) => window.deliver(&self.memory, &mut self.queue, len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // None left, or the interface is gone.
                Err(_) => self.readable = false,
            }
        }
        // Before the chains go back: the kick that is needed is the one for what comes after them.
        let more = starved && self.queue.arm(&self.memory);
        self.queue.unpop(window.chains.len() as u16);
        if self.queue.take_interrupt(&self.memory) {
            self.interrupt.signal_queue();
        }
        if more || (self.readable && !starved) { Wait::Not } else { Wait::Event }
    }
}

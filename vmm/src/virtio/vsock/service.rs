//! The worker: kicks and sockets in, packets out, one interrupt per round.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use vmm_sys_util::epoll::{Epoll, EventSet};
use vmm_sys_util::eventfd::EventFd;

use super::host::VsockHost;
use super::muxer::Muxer;
use super::packet::{HEADER_LEN, Header, MAX_PAYLOAD};
use super::to_guest::{Round, fill};
use crate::virtio::device::{ActivateError, ActivationContext, GuestRam, Interrupt};
use crate::virtio::device_queue::{BadChain, DeviceQueue};
use crate::virtio::worker::{Service, Wait, watch};

/// Tokens below 2^32; those of the sockets are above.
const RX: u64 = 0;
const TX: u64 = 1;
const EVENT: u64 = 2;
const LISTENER: u64 = 3;
const TRANSPORT_RESET: u64 = 4;

/// Packets taken from the guest in one round.
const TX_BATCH: usize = 64;
/// VIRTIO_VSOCK_EVENT_TRANSPORT_RESET.
const EVENT_TRANSPORT_RESET: [u8; 4] = 0_u32.to_le_bytes();

pub(super) struct VsockService {
    memory: GuestRam,
    interrupt: Arc<Interrupt>,
    rx: DeviceQueue,
    tx: DeviceQueue,
    event: DeviceQueue,
    muxer: Muxer,
    reset_request: EventFd,
    /// The guest has to be told that all its connections are gone.
    reset_due: bool,
}

impl VsockService {
    pub(super) fn new(
        context: ActivationContext,
        guest_cid: u64,
        host: Arc<VsockHost>,
        reset_request: EventFd,
    ) -> Result<Self, ActivateError> {
        let features = context.features;
        let mut queues = context.queues.into_iter().map(|queue| DeviceQueue::new(queue, features));
        let (Some(rx), Some(tx), Some(event)) = (queues.next(), queues.next(), queues.next()) else {
            return Err(ActivateError("vsock needs three queues".to_owned()));
        };
        Ok(Self {
            memory: context.memory,
            interrupt: context.interrupt,
            rx,
            tx,
            event,
            muxer: Muxer::new(guest_cid, host, LISTENER),
            reset_request,
            reset_due: false,
        })
    }

    /// A batch of packets from the guest; true if there may be more that can be taken now.
    fn take_packets(&mut self, epoll: &Epoll) -> bool {
        self.tx.disarm(&self.memory);
        for _ in 0..TX_BATCH {
            if self.muxer.choked() {
                return false;
            }
            match self.tx.pop(&self.memory) {
                None => return false,
                Some(Err(BadChain { head })) => self.tx.complete(&self.memory, head, 0),
                Some(Ok(mut chain)) => {
                    if let Some(header) = Header::read(&chain.readable) {
                        let len = header.len.get() as usize;
                        chain.readable.advance(HEADER_LEN);
                        if len > MAX_PAYLOAD || len > chain.readable.len() {
                            self.muxer.malformed_packet(&header);
                        } else {
                            chain.readable.truncate(len);
                            self.muxer.guest_packet(epoll, &header, chain.readable);
                        }
                    }
                    self.tx.complete(&self.memory, chain.head, 0);
                }
            }
        }
        true
    }

    fn announce_reset(&mut self) {
        while self.reset_due {
            let Some(popped) = self.event.pop(&self.memory) else { return };
            let (head, len) = match popped {
                Ok(chain) if chain.writable.len() >= EVENT_TRANSPORT_RESET.len() => {
                    self.reset_due = false;
                    (chain.head, chain.writable.copy_from(&EVENT_TRANSPORT_RESET))
                }
                Ok(chain) => (chain.head, 0),
                Err(BadChain { head }) => (head, 0),
            };
            self.event.complete(&self.memory, head, len as u32);
        }
    }

    fn interrupt(&mut self) {
        let memory = &self.memory;
        // All three have to be asked: each remembers what it was asked about.
        let wanted = [&mut self.rx, &mut self.tx, &mut self.event].map(|queue| queue.take_interrupt(memory));
        if wanted.contains(&true) {
            self.interrupt.signal_queue();
        }
    }
}

impl Service for VsockService {
    fn start(&mut self, epoll: &Epoll) -> io::Result<()> {
        watch(epoll, self.rx.kick(), RX)?;
        watch(epoll, self.tx.kick(), TX)?;
        watch(epoll, self.event.kick(), EVENT)?;
        watch(epoll, &self.reset_request, TRANSPORT_RESET)?;
        self.muxer.listen(epoll)
    }

    fn event(&mut self, epoll: &Epoll, token: u64, events: EventSet) {
        match token {
            RX => self.rx.clear_kick(),
            TX => self.tx.clear_kick(),
            EVENT => self.event.clear_kick(),
            LISTENER => self.muxer.accept(epoll),
            TRANSPORT_RESET => {
                let _ = self.reset_request.read();
                self.muxer.forget_all();
                self.reset_due = true;
            }
            socket => self.muxer.socket_event(socket, events),
        }
    }

    fn run(&mut self, epoll: &Epoll) -> Wait {
        let now = Instant::now();
        self.muxer.expire(epoll, now);
        let more_packets = self.take_packets(epoll);
        let round = fill(&mut self.muxer, &self.memory, &mut self.rx);
        self.muxer.resume_accepting(epoll, now);
        self.announce_reset();
        self.interrupt();
        if more_packets || round == Round::Busy {
            return Wait::Not;
        }
        // Kicks are asked for only where one is needed to go on; each `arm` says whether it came too late.
        let waits_for_buffers = round == Round::Starved;
        if waits_for_buffers && self.rx.arm(&self.memory) {
            return Wait::Not;
        }
        if self.reset_due && self.event.arm(&self.memory) {
            return Wait::Not;
        }
        if !self.muxer.choked() && self.tx.arm(&self.memory) {
            return Wait::Not;
        }
        self.muxer.next_deadline().map_or(Wait::Event, Wait::Until)
    }
}

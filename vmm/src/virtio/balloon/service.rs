//! The worker: gives back what the guest names.

use std::io;
use std::sync::Arc;

use vm_memory::GuestAddress;
use vmm_sys_util::epoll::{Epoll, EventSet};

use crate::virtio::device::{ActivateError, ActivationContext, GuestRam, Interrupt};
use crate::virtio::device_queue::{BadChain, Chain, DeviceQueue};
use crate::virtio::guest_iovec::GuestIovec;
use crate::virtio::worker::{Service, Wait, watch};

const INFLATE: u64 = 0;
const DEFLATE: u64 = 1;
const REPORT: u64 = 2;
/// Requests done before the driver hears of them and the worker looks for other events.
const BATCH: usize = 16;
/// Page numbers of one request that are looked at, in bytes; Linux sends 1 KiB.
const MAX_NUMBERS: usize = 64 * 1024;
/// Page numbers copied at a time, in bytes.
const PIECE: usize = 4096;
/// Bytes of a page, as the protocol counts them.
const PAGE_SHIFT: u32 = 12;
/// Pages that one system call gives back: 1 GiB.
const MAX_RUN: u32 = 1 << 18;

pub(super) struct BalloonService {
    memory: GuestRam,
    interrupt: Arc<Interrupt>,
    inflate: DeviceQueue,
    deflate: DeviceQueue,
    report: Option<DeviceQueue>,
}

impl BalloonService {
    pub(super) fn new(context: ActivationContext, reporting: bool) -> Result<Self, ActivateError> {
        let features = context.features;
        let mut queues = context.queues.into_iter().map(|queue| DeviceQueue::new(queue, features));
        let (Some(inflate), Some(deflate)) = (queues.next(), queues.next()) else {
            return Err(ActivateError("balloon needs two queues".to_owned()));
        };
        let report = queues.next().filter(|_| reporting);
        Ok(Self { memory: context.memory, interrupt: context.interrupt, inflate, deflate, report })
    }
}

/// A batch of one queue; true if there is more to do.
fn process(memory: &GuestRam, queue: &mut DeviceQueue, mut give_back: impl FnMut(Chain<'_>)) -> bool {
    queue.disarm(memory);
    for _ in 0..BATCH {
        let head = match queue.pop(memory) {
            None => break,
            Some(Ok(chain)) => {
                let head = chain.head;
                give_back(chain);
                head
            }
            Some(Err(BadChain { head })) => head,
        };
        queue.complete(memory, head, 0);
    }
    queue.has_more(memory) || queue.arm(memory)
}

/// Gives back the pages whose numbers are in `numbers` (le32 each), neighbours together.
fn inflate(memory: &GuestRam, mut numbers: GuestIovec<'_>) {
    numbers.truncate(MAX_NUMBERS);
    let mut run: Option<(u32, u32)> = None;
    while !numbers.is_empty() {
        let mut piece = [0; PIECE];
        let copied = numbers.copy_to(&mut piece);
        numbers.advance(copied);
        let (pages, _) = piece.get(..copied).unwrap_or_default().as_chunks::<4>();
        for page in pages {
            let page = u32::from_le_bytes(*page);
            match &mut run {
                Some((start, count)) if *count < MAX_RUN && start.checked_add(*count) == Some(page) => {
                    *count += 1;
                }
                _ => {
                    release(memory, run.replace((page, 1)));
                }
            }
        }
    }
    release(memory, run);
}

fn release(memory: &GuestRam, run: Option<(u32, u32)>) {
    let Some((start, count)) = run else { return };
    let mut pages = GuestIovec::default();
    let address = GuestAddress(u64::from(start) << PAGE_SHIFT);
    if pages.push(memory, address, count << PAGE_SHIFT).is_ok() {
        // What the host does not take stays the guest's: no harm to anybody.
        let _ = pages.discard();
    }
}

impl Service for BalloonService {
    fn start(&mut self, epoll: &Epoll) -> io::Result<()> {
        watch(epoll, self.inflate.kick(), INFLATE)?;
        watch(epoll, self.deflate.kick(), DEFLATE)?;
        self.report.as_ref().map_or(Ok(()), |report| watch(epoll, report.kick(), REPORT))
    }

    fn event(&mut self, _epoll: &Epoll, token: u64, _events: EventSet) {
        match token {
            INFLATE => self.inflate.clear_kick(),
            DEFLATE => self.deflate.clear_kick(),
            _ => self.report.iter().for_each(DeviceQueue::clear_kick),
        }
    }

    fn run(&mut self, _epoll: &Epoll) -> Wait {
        let memory = &self.memory;
        let mut more = process(memory, &mut self.inflate, |chain| inflate(memory, chain.readable));
        // Pages that the guest takes back come by themselves when it touches them.
        more |= process(memory, &mut self.deflate, |_| {});
        if let Some(report) = &mut self.report {
            more |= process(memory, report, |chain| drop(chain.writable.discard()));
        }
        for queue in [&mut self.inflate, &mut self.deflate].into_iter().chain(&mut self.report) {
            if queue.take_interrupt(memory) {
                self.interrupt.signal_queue();
            }
        }
        if more { Wait::Not } else { Wait::Event }
    }
}

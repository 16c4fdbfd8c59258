//! A small guest driver for the tests of devices: split queues in real guest memory, driven the way Linux does.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT,
    VRING_DESC_F_WRITE,
};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::device::{ActivationContext, ActiveQueue, GuestRam, Interrupt, VirtioDevice};

/// Long enough for any machine; a test that waits this long has failed.
const PATIENCE_MS: i32 = 60_000;

/// The size of the guest's memory.
pub(crate) const RAM_SIZE: u64 = 64 << 20;

/// One descriptor as the driver means it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buf {
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) device_writes: bool,
}

/// For the device to read.
pub(crate) fn readable(address: u64, len: u32) -> Buf {
    Buf { address, len, device_writes: false }
}

/// For the device to write.
pub(crate) fn writable(address: u64, len: u32) -> Buf {
    Buf { address, len, device_writes: true }
}

/// The driver's end of a queue.
#[derive(Debug)]
pub(crate) struct MockQueue {
    ram: GuestRam,
    size: u16,
    descriptors: u64,
    available: u64,
    used: u64,
    event_idx: bool,
    free: Vec<u16>,
    in_flight: BTreeMap<u16, Vec<u16>>,
    next_available: u16,
    next_used: u16,
    kick: EventFd,
    /// How often the device was notified.
    pub(crate) kicks: u64,
}

impl MockQueue {
    fn new(ram: &GuestRam, base: u64, size: u16, event_idx: bool) -> Self {
        let available = base + 16 * u64::from(size);
        let used = (available + 6 + 2 * u64::from(size)).next_multiple_of(4);
        let mut queue = Self {
            ram: ram.clone(),
            size,
            descriptors: base,
            available,
            used,
            event_idx,
            free: (0..size).rev().collect(),
            in_flight: BTreeMap::new(),
            next_available: 0,
            next_used: 0,
            kick: EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).unwrap(),
            kicks: 0,
        };
        queue.want_interrupts(true);
        queue
    }

    fn end(&self) -> u64 {
        self.used + 6 + 8 * u64::from(self.size)
    }

    fn device_end(&self) -> ActiveQueue {
        let mut queue = Queue::new(self.size).unwrap();
        queue.set_size(self.size);
        queue.try_set_desc_table_address(GuestAddress(self.descriptors)).unwrap();
        queue.try_set_avail_ring_address(GuestAddress(self.available)).unwrap();
        queue.try_set_used_ring_address(GuestAddress(self.used)).unwrap();
        queue.set_event_idx(self.event_idx);
        queue.set_ready(true);
        assert!(queue.is_valid(&self.ram));
        ActiveQueue { queue, kick: self.kick.try_clone().unwrap() }
    }

    /// Free descriptors.
    pub(crate) fn room(&self) -> usize {
        self.free.len()
    }

    /// Makes a chain available; returns its head. Does not kick.
    pub(crate) fn add(&mut self, buffers: &[Buf]) -> u16 {
        let slots = self.free.split_off(self.free.len() - buffers.len());
        for (index, buffer) in buffers.iter().enumerate() {
            let mut flags = if buffer.device_writes { VRING_DESC_F_WRITE as u16 } else { 0 };
            let mut next = 0;
            if let Some(following) = slots.get(index + 1) {
                flags |= VRING_DESC_F_NEXT as u16;
                next = *following;
            }
            self.write_descriptor(slots[index], buffer.address, buffer.len, flags, next);
        }
        let head = slots[0];
        self.in_flight.insert(head, slots);
        self.publish(head);
        head
    }

    /// Makes one descriptor available that points to an indirect table at `table`.
    pub(crate) fn add_indirect(&mut self, table: u64, buffers: &[Buf]) -> u16 {
        for (index, buffer) in buffers.iter().enumerate() {
            let mut flags = if buffer.device_writes { VRING_DESC_F_WRITE as u16 } else { 0 };
            if index + 1 < buffers.len() {
                flags |= VRING_DESC_F_NEXT as u16;
            }
            let at = table + 16 * index as u64;
            self.write_raw(at, buffer.address, buffer.len, flags, index as u16 + 1);
        }
        let head = self.free.pop().unwrap();
        self.write_descriptor(head, table, 16 * buffers.len() as u32, VRING_DESC_F_INDIRECT as u16, 0);
        self.in_flight.insert(head, vec![head]);
        self.publish(head);
        head
    }

    /// Writes any descriptor, sane or not.
    pub(crate) fn write_descriptor(&self, index: u16, address: u64, len: u32, flags: u16, next: u16) {
        self.write_raw(self.descriptors + 16 * u64::from(index), address, len, flags, next);
    }

    fn write_raw(&self, at: u64, address: u64, len: u32, flags: u16, next: u16) {
        self.ram.write_obj(address, GuestAddress(at)).unwrap();
        self.ram.write_obj(len, GuestAddress(at + 8)).unwrap();
        self.ram.write_obj(flags, GuestAddress(at + 12)).unwrap();
        self.ram.write_obj(next, GuestAddress(at + 14)).unwrap();
    }

    /// Puts any head, valid or not, into the available ring.
    pub(crate) fn publish(&mut self, head: u16) {
        let slot = self.available + 4 + 2 * u64::from(self.next_available % self.size);
        self.ram.write_obj(head, GuestAddress(slot)).unwrap();
        self.next_available = self.next_available.wrapping_add(1);
        self.ram.store(self.next_available, GuestAddress(self.available + 2), Ordering::Release).unwrap();
    }

    /// Claims that `index` chains were made available ever.
    pub(crate) fn forge_available_index(&self, index: u16) {
        self.ram.store(index, GuestAddress(self.available + 2), Ordering::Release).unwrap();
    }

    /// Notifies the device in any case.
    pub(crate) fn kick(&mut self) {
        self.kicks += 1;
        self.kick.write(1).unwrap();
    }

    /// Notifies the device if it asked for it since `added` chains ago.
    pub(crate) fn kick_if_wanted(&mut self, added: u16) {
        fence(Ordering::SeqCst);
        let wanted = if self.event_idx {
            let at = GuestAddress(self.used + 4 + 8 * u64::from(self.size));
            let event: u16 = self.ram.load(at, Ordering::Relaxed).unwrap();
            let new = self.next_available;
            new.wrapping_sub(event).wrapping_sub(1) < added
        } else {
            self.ram.load::<u16>(GuestAddress(self.used), Ordering::Relaxed).unwrap() & 1 == 0
        };
        if wanted {
            self.kick();
        }
    }

    /// The next used chain: its head and the number of bytes written.
    pub(crate) fn take_used(&mut self) -> Option<(u16, u32)> {
        let index: u16 = self.ram.load(GuestAddress(self.used + 2), Ordering::Acquire).unwrap();
        if index == self.next_used {
            return None;
        }
        let slot = self.used + 4 + 8 * u64::from(self.next_used % self.size);
        let id: u32 = self.ram.read_obj(GuestAddress(slot)).unwrap();
        let len = self.ram.read_obj(GuestAddress(slot + 4)).unwrap();
        self.next_used = self.next_used.wrapping_add(1);
        let head = u16::try_from(id).unwrap();
        if let Some(slots) = self.in_flight.remove(&head) {
            self.free.extend(slots);
        }
        Some((head, len))
    }

    /// An interrupt for the next used chain, or none.
    pub(crate) fn want_interrupts(&mut self, wanted: bool) {
        if self.event_idx {
            let event = if wanted { self.next_used } else { self.next_used.wrapping_sub(1) };
            let at = GuestAddress(self.available + 4 + 2 * u64::from(self.size));
            self.ram.store(event, at, Ordering::Relaxed).unwrap();
        } else {
            let flags = if wanted { 0 } else { VRING_AVAIL_F_NO_INTERRUPT as u16 };
            self.ram.store(flags, GuestAddress(self.available), Ordering::Relaxed).unwrap();
        }
        fence(Ordering::SeqCst);
    }
}

/// A guest with one device.
#[derive(Debug)]
pub(crate) struct MockDriver {
    pub(crate) ram: GuestRam,
    pub(crate) queues: Vec<MockQueue>,
    pub(crate) interrupt: Arc<Interrupt>,
    next_free: u64,
}

impl MockDriver {
    /// Activates the device with all the features it offers and queues of their maximum size.
    pub(crate) fn start(device: &mut dyn VirtioDevice) -> Self {
        let features = device.features();
        Self::start_with(device, features)
    }

    pub(crate) fn start_with(device: &mut dyn VirtioDevice, features: u64) -> Self {
        let (driver, context) = Self::prepare(device, features);
        device.activate(context).unwrap();
        driver
    }

    /// Sets the queues up without activating the device.
    pub(crate) fn prepare(device: &dyn VirtioDevice, features: u64) -> (Self, ActivationContext) {
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), RAM_SIZE as usize)]).unwrap();
        let event_idx = features & (1 << VIRTIO_RING_F_EVENT_IDX) != 0;
        let mut base = 0x1000_u64;
        let mut queues = Vec::new();
        for &size in device.queue_max_sizes() {
            let queue = MockQueue::new(&ram, base, size, event_idx);
            base = queue.end().next_multiple_of(4096);
            queues.push(queue);
        }
        let interrupt = Arc::new(Interrupt::new(EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).unwrap()));
        let context = ActivationContext {
            memory: ram.clone(),
            features,
            queues: queues.iter().map(MockQueue::device_end).collect(),
            interrupt: Arc::clone(&interrupt),
        };
        (Self { ram, queues, interrupt, next_free: base }, context)
    }

    /// A fresh piece of guest memory.
    pub(crate) fn alloc(&mut self, len: u32) -> u64 {
        let address = self.next_free;
        self.next_free = (address + u64::from(len)).next_multiple_of(64);
        assert!(self.next_free <= RAM_SIZE, "the mock guest is out of memory");
        address
    }

    /// Fresh guest memory holding `bytes`.
    pub(crate) fn alloc_bytes(&mut self, bytes: &[u8]) -> u64 {
        let address = self.alloc(bytes.len() as u32);
        self.ram.write_slice(bytes, GuestAddress(address)).unwrap();
        address
    }

    pub(crate) fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.ram.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    /// Waits for the device to use a chain of the queue, sleeping until its interrupt.
    pub(crate) fn wait_used(&mut self, queue: usize) -> (u16, u32) {
        loop {
            self.queues[queue].want_interrupts(true);
            if let Some(used) = self.queues[queue].take_used() {
                return used;
            }
            assert!(self.wait_interrupt(PATIENCE_MS), "the device neither answered nor interrupted");
        }
    }

    /// Adds one chain, kicks, waits until it was used; returns the number of bytes written.
    pub(crate) fn request(&mut self, queue: usize, buffers: &[Buf]) -> u32 {
        let head = self.queues[queue].add(buffers);
        self.queues[queue].kick_if_wanted(1);
        let (used, len) = self.wait_used(queue);
        assert_eq!(used, head);
        len
    }

    /// Sleeps until the device interrupts; false after `milliseconds` without.
    pub(crate) fn wait_interrupt(&self, milliseconds: i32) -> bool {
        let fd = self.interrupt.irqfd().as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd on the stack.
        let ready = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
        self.interrupt.acknowledge(self.interrupt.status());
        ready > 0 && self.interrupt.irqfd().read().is_ok()
    }
}

/// Publishes every kind of chain that breaks the rules; returns how many of them have a head that can be used again.
///
/// `device_writes`: whether the device expects writable buffers.
pub(crate) fn publish_hostile_chains(driver: &mut MockDriver, queue: usize) -> usize {
    let (next, write, indirect) =
        (VRING_DESC_F_NEXT as u16, VRING_DESC_F_WRITE as u16, VRING_DESC_F_INDIRECT as u16);
    let buffer = driver.alloc(64);
    let table = driver.alloc(64);
    let queue = &mut driver.queues[queue];
    let size = queue.size;
    assert!(size >= 16 && queue.free.len() == usize::from(size));
    // A loop of one, a loop of two, out of memory, over the end, huge, wrapping, next out of the table.
    queue.write_descriptor(0, buffer, 64, next, 0);
    queue.write_descriptor(1, buffer, 64, next | write, 2);
    queue.write_descriptor(2, buffer, 64, next | write, 1);
    queue.write_descriptor(3, RAM_SIZE, 64, 0, 0);
    queue.write_descriptor(4, RAM_SIZE - 32, 64, write, 0);
    queue.write_descriptor(5, buffer, u32::MAX, write, 0);
    queue.write_descriptor(6, u64::MAX - 8, 64, 0, 0);
    queue.write_descriptor(7, buffer, 64, next, size);
    // Readable after writable, an indirect table that is no multiple, out of memory, or points to itself.
    queue.write_descriptor(8, buffer, 64, next | write, 9);
    queue.write_descriptor(9, buffer, 64, 0, 0);
    queue.write_descriptor(10, table, 17, indirect, 0);
    queue.write_descriptor(11, u64::MAX - 64, 32, indirect, 0);
    queue.write_descriptor(12, table, 16, indirect, 0);
    queue.write_raw(table, table, 16, indirect, 0);
    // Nothing at all.
    queue.write_descriptor(13, 0, 0, 0, 0);
    queue.write_descriptor(14, 0, 0, write, 0);
    let heads = [0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14];
    for head in heads {
        queue.publish(head);
    }
    // Heads outside the table cannot even be completed.
    queue.publish(size);
    queue.publish(u16::MAX);
    queue.kick();
    heads.len()
}

/// Has a chain used while the driver wants no interrupts: it comes back, and the interrupt does not. Resets the
/// device, so that whatever its worker was about to do has happened.
pub(crate) fn assert_interrupts_are_suppressed(
    device: &mut dyn VirtioDevice,
    driver: &mut MockDriver,
    queue: usize,
    buffers: &[Buf],
) {
    while driver.wait_interrupt(0) {}
    driver.queues[queue].want_interrupts(false);
    let head = driver.queues[queue].add(buffers);
    driver.queues[queue].kick();
    loop {
        match driver.queues[queue].take_used() {
            Some((used, _)) => break assert_eq!(used, head),
            None => std::thread::yield_now(),
        }
    }
    device.reset();
    assert!(!driver.wait_interrupt(0), "an interrupt that nobody wanted");
}

//! A driver's view of the transport, a well-behaved one and hostile ones.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use virtio_queue::QueueT;

use super::*;
use crate::virtio::ActivateError;

const VERSION_1: u64 = 1 << 32;
const QUEUE_READY: u64 = 0x44;
const STATUS: u64 = 0x70;

/// What happened to the mock device.
#[derive(Debug, Default)]
struct Log {
    activations: Mutex<Vec<(u64, Vec<u16>)>>,
    resets: AtomicUsize,
    config_writes: AtomicUsize,
}

struct Mock(Arc<Log>);

impl VirtioDevice for Mock {
    fn device_type(&self) -> u32 {
        4
    }
    fn queue_max_sizes(&self) -> &[u16] {
        &[64, 128]
    }
    fn features(&self) -> u64 {
        VERSION_1 | 0b101
    }
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        data.fill(offset as u8);
    }
    fn write_config(&mut self, _offset: u64, _data: &[u8]) {
        self.0.config_writes.fetch_add(1, Ordering::SeqCst);
    }
    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        for queue in &context.queues {
            assert!(queue.queue.is_valid(&context.memory), "only valid queues are handed over");
        }
        assert_eq!(context.features & !self.features(), 0);
        let sizes = context.queues.iter().map(|queue| queue.queue.size()).collect();
        self.0.activations.lock().unwrap().push((context.features, sizes));
        Ok(())
    }
    fn reset(&mut self) {
        self.0.resets.fetch_add(1, Ordering::SeqCst);
    }
}

struct Guest {
    transport: MmioTransport,
    log: Arc<Log>,
}

impl Guest {
    fn new() -> Self {
        let log = Arc::new(Log::default());
        let memory = crate::memory::allocate(1 << 20).unwrap();
        let interrupt = Arc::new(Interrupt::new(EventFd::new(EFD_NONBLOCK).unwrap()));
        let device = Box::new(Mock(Arc::clone(&log)));
        let transport = MmioTransport::new(device, memory, interrupt, Worker::inline()).unwrap();
        Self { transport, log }
    }

    fn read(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.transport.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&self, offset: u64, value: u32) {
        assert_eq!(self.transport.write(offset, &value.to_le_bytes()), Outcome::Continue);
    }

    fn negotiate(&self, features: u64) {
        self.write(STATUS, 1);
        self.write(STATUS, 3);
        for word in 0..2 {
            self.write(0x24, word);
            self.write(0x20, (features >> (32 * word)) as u32);
        }
        self.write(STATUS, 11);
    }

    fn set_up_queue(&self, index: u32, size: u32, base: u32) {
        self.write(0x30, index);
        self.write(0x38, size);
        for (register, offset) in [(0x80, 0), (0x90, 0x1000), (0xa0, 0x2000)] {
            self.write(register, base.wrapping_add(offset));
            self.write(register + 4, 0);
        }
        self.write(QUEUE_READY, 1);
    }

    fn start(&self) {
        self.negotiate(VERSION_1 | 1);
        self.set_up_queue(0, 32, 0x1_0000);
        self.set_up_queue(1, 128, 0x2_0000);
        self.write(STATUS, 15);
    }

    fn activations(&self) -> Vec<(u64, Vec<u16>)> {
        self.log.activations.lock().unwrap().clone()
    }
}

#[test]
fn a_proper_driver_starts_the_device() {
    let guest = Guest::new();
    assert_eq!([0, 4, 8].map(|r| guest.read(r)), [0x7472_6976, 2, 4]);
    guest.write(0x14, 1);
    assert_eq!(guest.read(0x10), 1);
    guest.write(0x14, 0);
    assert_eq!(guest.read(0x10), 0b101);
    guest.write(0x14, 2);
    assert_eq!(guest.read(0x10), 0);
    guest.start();
    assert_eq!(guest.read(STATUS), 15);
    assert_eq!(guest.activations(), [(VERSION_1 | 1, vec![32, 128])]);
}

#[test]
fn the_last_queues_may_stay_unused_but_not_the_first() {
    let guest = Guest::new();
    guest.negotiate(VERSION_1);
    guest.set_up_queue(0, 64, 0x1_0000);
    guest.write(STATUS, 15);
    assert_eq!(guest.activations(), [(VERSION_1, vec![64])]);

    let guest = Guest::new();
    guest.negotiate(VERSION_1);
    guest.set_up_queue(1, 64, 0x1_0000);
    guest.write(STATUS, 15);
    assert_eq!(guest.read(STATUS), 15 | 64, "DEVICE_NEEDS_RESET");
    assert!(guest.activations().is_empty());
}

#[test]
fn features_that_were_not_offered_and_legacy_drivers_are_refused() {
    for features in [VERSION_1 | 2, 1, VERSION_1 | 1 << 63] {
        let guest = Guest::new();
        guest.negotiate(features);
        assert_eq!(guest.read(STATUS), 3, "FEATURES_OK must not stick");
    }
}

/// CVE-2026-5747: a queue that changes under a running device.
#[test]
fn queue_registers_are_ignored_after_driver_ok() {
    let guest = Guest::new();
    guest.start();
    for register in [0x38, QUEUE_READY, 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4] {
        for queue in 0..3 {
            guest.write(0x30, queue);
            guest.write(register, 0xffff_ffff);
        }
    }
    guest.write(0x30, 0);
    assert_eq!(guest.read(QUEUE_READY), 1);
    let driver = guest.transport.driver.lock().unwrap();
    assert_eq!((driver.queues[0].size, driver.queues[0].descriptors), (32, 0x1_0000));
    assert_eq!((driver.queues[1].size, driver.queues[1].used), (128, 0x2_2000));
}

#[test]
fn a_ready_queue_does_not_change_before_driver_ok_either() {
    let guest = Guest::new();
    guest.negotiate(VERSION_1);
    guest.set_up_queue(0, 32, 0x1_0000);
    guest.write(0x38, 8);
    guest.write(STATUS, 15);
    assert_eq!(guest.activations(), [(VERSION_1, vec![32])]);
}

#[test]
fn queues_that_are_not_valid_need_a_reset() {
    // Size 0, not a power of two, above the maximum; beyond memory, at the end of the address space, unaligned.
    for (size, base) in
        [(0, 0), (3, 0), (128, 0), (0x1_0000, 0), (64, 0x10_0000), (64, 0xffff_f000), (64, 0x1_0001)]
    {
        let guest = Guest::new();
        guest.negotiate(VERSION_1);
        guest.set_up_queue(0, size, base);
        guest.write(STATUS, 15);
        assert_eq!(guest.read(STATUS), 15 | 64, "size {size:#x} at {base:#x}");
        assert_eq!(guest.read(0x60), 2, "the driver is told by a configuration interrupt");
        guest.write(STATUS, 0);
        assert_eq!((guest.read(STATUS), guest.read(0x60)), (0, 0));
        guest.start();
        assert_eq!(guest.activations().len(), 1, "a reset repairs it");
    }
}

#[test]
fn reset_stops_the_device_and_forgets_everything() {
    let guest = Guest::new();
    guest.write(STATUS, 0);
    assert_eq!(guest.log.resets.load(Ordering::SeqCst), 0, "it was not started");
    guest.start();
    guest.transport.interrupt().signal_queue();
    guest.write(STATUS, 0);
    assert_eq!(guest.log.resets.load(Ordering::SeqCst), 1);
    assert_eq!((guest.read(STATUS), guest.read(0x60), guest.read(QUEUE_READY)), (0, 0, 0));
    guest.start();
    assert_eq!(guest.activations().len(), 2);
}

#[test]
fn interrupts_are_acknowledged_bit_by_bit() {
    let guest = Guest::new();
    let generation = guest.read(0xfc);
    guest.transport.interrupt().signal_queue();
    guest.transport.interrupt().signal_config();
    assert_eq!(guest.read(0x60), 3);
    guest.write(0x64, 1);
    assert_eq!(guest.read(0x60), 2);
    assert_ne!(guest.read(0xfc), generation);
    assert_eq!(guest.transport.interrupt().irqfd().read().unwrap(), 2);
}

#[test]
fn notifications_reach_only_queues_that_exist() {
    let guest = Guest::new();
    for queue in [0, 2, 0xffff_ffff] {
        guest.write(QUEUE_NOTIFY, queue);
    }
    assert_eq!(guest.transport.kicks()[0].read().unwrap(), 1);
    assert!(guest.transport.kicks()[1].read().is_err());
}

#[test]
fn registers_are_words_and_the_configuration_space_is_bytes() {
    let guest = Guest::new();
    for len in [1, 2, 8] {
        let mut data = vec![0xee; len];
        guest.transport.read(0, &mut data);
        assert_eq!(data, vec![0; len]);
        guest.transport.write(STATUS, &vec![1; len]);
        assert_eq!(guest.read(STATUS), 0);
        guest.transport.read(0x105, &mut data);
        assert_eq!(data, vec![5; len]);
    }
    assert_eq!([0xb0, 0xb4, 0xb8, 0xbc].map(|r| guest.read(r)), [u32::MAX; 4], "no shared memory region");
}

#[test]
fn the_configuration_is_not_written_before_there_is_a_driver() {
    let guest = Guest::new();
    guest.transport.write(0x100, &[1]);
    assert_eq!(guest.log.config_writes.load(Ordering::SeqCst), 0);
    guest.write(STATUS, 1);
    guest.write(STATUS, 3);
    guest.transport.write(0x100, &[1]);
    assert_eq!(guest.log.config_writes.load(Ordering::SeqCst), 1);
}

/// An access as a hostile guest would make it, biased to the registers that matter.
fn access() -> impl Strategy<Value = (u64, Vec<u8>)> {
    let registers = prop::sample::select(vec![
        0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x64, 0x70, 0x80, 0x84, 0x90, 0xa0,
    ]);
    let offset = prop_oneof![4 => registers, 1 => 0_u64..0x1000];
    let small =
        prop::sample::select(vec![0_u32, 1, 2, 3, 8, 11, 15, 32, 64, 128, 0x1_0000, 0x2_0000, u32::MAX]);
    let word = prop_oneof![3 => small, 1 => any::<u32>()].prop_map(|word| word.to_le_bytes().to_vec());
    let value = prop_oneof![8 => word, 1 => prop::collection::vec(any::<u8>(), 0..9)];
    (offset, value)
}

proptest! {
    /// Whatever is written, the device sees only valid queues (the mock asserts it) and the transport lives on.
    #[test]
    fn any_sequence_of_accesses_is_survived(accesses in prop::collection::vec(access(), 0..200)) {
        let guest = Guest::new();
        for (offset, value) in accesses {
            guest.transport.write(offset, &value);
            let mut data = vec![0; value.len()];
            guest.transport.read(offset, &mut data);
        }
        guest.write(STATUS, 0);
        guest.start();
        prop_assert_eq!(guest.read(STATUS), 15);
    }
}

//! The register map (virtio 1.2, table 4.1).

use super::{MmioTransport, queues};

const MAGIC_VALUE: u64 = 0x000;
const VERSION: u64 = 0x004;
const DEVICE_ID: u64 = 0x008;
const VENDOR_ID: u64 = 0x00c;
const DEVICE_FEATURES: u64 = 0x010;
const DEVICE_FEATURES_SEL: u64 = 0x014;
const DRIVER_FEATURES: u64 = 0x020;
const DRIVER_FEATURES_SEL: u64 = 0x024;
const QUEUE_SEL: u64 = 0x030;
const QUEUE_SIZE_MAX: u64 = 0x034;
const QUEUE_SIZE: u64 = 0x038;
const QUEUE_READY: u64 = 0x044;
/// Written with a queue's index when it has new buffers.
pub const QUEUE_NOTIFY: u64 = 0x050;
const INTERRUPT_STATUS: u64 = 0x060;
const INTERRUPT_ACK: u64 = 0x064;
const STATUS: u64 = 0x070;
const QUEUE_DESC_LOW: u64 = 0x080;
const QUEUE_DESC_HIGH: u64 = 0x084;
const QUEUE_DRIVER_LOW: u64 = 0x090;
const QUEUE_DRIVER_HIGH: u64 = 0x094;
const QUEUE_DEVICE_LOW: u64 = 0x0a0;
const QUEUE_DEVICE_HIGH: u64 = 0x0a4;
/// Length and base of the selected shared memory region.
const SHM_FIRST: u64 = 0x0b0;
const SHM_LAST: u64 = 0x0bc;
const CONFIG_GENERATION: u64 = 0x0fc;

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
/// Not a legacy device.
const MODERN: u32 = 2;
const VENDOR: u32 = u32::from_le_bytes(*b"SBOX");
/// A region that is not there has length and base -1 (section 4.2.2).
const NO_REGION: u32 = u32::MAX;

impl MmioTransport {
    pub(super) fn read_register(&self, offset: u64) -> u32 {
        match offset {
            MAGIC_VALUE => MAGIC,
            VERSION => MODERN,
            DEVICE_ID => self.device_type,
            VENDOR_ID => VENDOR,
            DEVICE_FEATURES => self.with_driver(|driver| word(self.features, driver.offered_word)),
            QUEUE_SIZE_MAX => self.with_driver(|driver| {
                self.queue_sizes.get(driver.queue as usize).copied().map_or(0, u32::from)
            }),
            QUEUE_READY => self.with_driver(|driver| {
                driver.queues.get(driver.queue as usize).is_some_and(|queue| queue.ready).into()
            }),
            INTERRUPT_STATUS => self.interrupt.status(),
            STATUS => self.with_driver(|driver| driver.status.bits()),
            SHM_FIRST..=SHM_LAST => NO_REGION,
            CONFIG_GENERATION => self.interrupt.config_generation(),
            _ => 0,
        }
    }

    pub(super) fn write_register(&self, offset: u64, value: u32) {
        match offset {
            DEVICE_FEATURES_SEL => self.with_driver(|driver| driver.offered_word = value),
            DRIVER_FEATURES_SEL => self.with_driver(|driver| driver.accepted_word = value),
            DRIVER_FEATURES => self.with_driver(|driver| {
                if driver.status.may_negotiate() {
                    set_word(&mut driver.features, driver.accepted_word, value);
                }
            }),
            QUEUE_SEL => self.with_driver(|driver| driver.queue = value),
            QUEUE_NOTIFY => self.notify(value),
            INTERRUPT_ACK => self.interrupt.acknowledge(value),
            STATUS => self.with_driver(|driver| self.set_status(driver, value)),
            QUEUE_SIZE | QUEUE_READY | QUEUE_DESC_LOW..=QUEUE_DEVICE_HIGH => self.with_driver(|driver| {
                if driver.status.may_set_up_queues()
                    && let Some(queue) = driver.queues.get_mut(driver.queue as usize)
                {
                    set_up(queue, offset, value);
                }
            }),
            _ => {}
        }
    }

    /// Normally KVM signals the eventfd itself; this is for a notification that it did not decode.
    fn notify(&self, queue: u32) {
        if let Some(kick) = self.kicks.get(queue as usize) {
            // A full counter is a pending notification.
            let _ = kick.write(1);
        }
    }
}

fn set_up(queue: &mut queues::QueueSetup, offset: u64, value: u32) {
    match offset {
        QUEUE_READY => queue.ready = value == 1,
        // A ready queue does not change (section 4.2.2.2: "MUST write 0x0 to QueueReady first").
        _ if queue.ready => {}
        QUEUE_SIZE => queue.size = value,
        QUEUE_DESC_LOW => set_word(&mut queue.descriptors, 0, value),
        QUEUE_DESC_HIGH => set_word(&mut queue.descriptors, 1, value),
        QUEUE_DRIVER_LOW => set_word(&mut queue.available, 0, value),
        QUEUE_DRIVER_HIGH => set_word(&mut queue.available, 1, value),
        QUEUE_DEVICE_LOW => set_word(&mut queue.used, 0, value),
        QUEUE_DEVICE_HIGH => set_word(&mut queue.used, 1, value),
        _ => {}
    }
}

/// Word `index` of 64 bits; there are two.
fn word(value: u64, index: u32) -> u32 {
    match index {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}

fn set_word(target: &mut u64, index: u32, value: u32) {
    match index {
        0 => *target = *target & !0xffff_ffff | u64::from(value),
        1 => *target = *target & 0xffff_ffff | u64::from(value) << 32,
        _ => {}
    }
}

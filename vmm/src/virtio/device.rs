//! What the transport asks of a virtio device, and what it hands over on activation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use virtio_queue::Queue;
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::eventfd::EventFd;

/// Guest RAM as every device sees it. Cloning is cheap (regions are behind `Arc`s).
pub type GuestRam = GuestMemoryMmap<()>;

/// One virtio device behind a transport (virtio 1.2, section 2).
///
/// Config space accesses are clipped by the transport to 4096 bytes; a device answers reads beyond its
/// own space with zeroes and ignores writes there.
pub trait VirtioDevice: Send {
    /// Virtio device id (virtio 1.2, section 5).
    fn device_type(&self) -> u32;
    /// Maximum size of each queue, a power of two; the length is the number of queues.
    fn queue_max_sizes(&self) -> &[u16];
    /// Offered feature bits, VIRTIO_F_VERSION_1 included.
    fn features(&self) -> u64;
    fn read_config(&self, offset: u64, data: &mut [u8]);
    fn write_config(&mut self, offset: u64, data: &[u8]);
    /// DRIVER_OK: validated queues, the negotiated features. The device starts its own worker threads here.
    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError>;
    /// The driver reset the device or the machine stops: end the workers, forget the queues. Idempotent.
    fn reset(&mut self);
}

/// Everything a device receives on activation.
#[derive(Debug)]
pub struct ActivationContext {
    pub memory: GuestRam,
    /// Negotiated feature bits, a subset of [`VirtioDevice::features`].
    pub features: u64,
    pub queues: Vec<ActiveQueue>,
    pub interrupt: Arc<Interrupt>,
}

/// A ready queue and the eventfd that the guest's notification writes to (KVM ioeventfd, non-blocking; the device
/// may change that). It may be readable once without a new buffer.
///
/// The transport hands over queues 0 to n, n at least 1: a driver may leave the last ones unused. Size, alignment
/// and addresses are checked and the event index is set as negotiated.
#[derive(Debug)]
pub struct ActiveQueue {
    pub queue: Queue,
    pub kick: EventFd,
}

/// Why a device could not start; the transport answers with DEVICE_NEEDS_RESET.
#[derive(Debug, thiserror::Error)]
#[error("cannot activate virtio device: {0}")]
pub struct ActivateError(pub String);

/// The one interrupt line of an MMIO device (virtio 1.2, section 4.2.2, InterruptStatus) on a KVM irqfd.
#[derive(Debug)]
pub struct Interrupt {
    status: AtomicU32,
    /// ConfigGeneration as the driver reads it.
    generation: AtomicU32,
    irqfd: EventFd,
}

impl Interrupt {
    /// `irqfd` is registered with KVM for the device's GSI by the machine.
    pub fn new(irqfd: EventFd) -> Self {
        Self { status: AtomicU32::new(0), generation: AtomicU32::new(0), irqfd }
    }

    /// Used buffers were added to a queue. Call only if the driver wants it (`Queue::needs_notification`).
    pub fn signal_queue(&self) {
        self.raise(1);
    }

    /// The configuration space changed, or DEVICE_NEEDS_RESET was set.
    pub fn signal_config(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.raise(2);
    }

    /// Changes with every [`Interrupt::signal_config`].
    pub fn config_generation(&self) -> u32 {
        self.generation.load(Ordering::SeqCst)
    }

    /// InterruptStatus as the driver reads it.
    pub fn status(&self) -> u32 {
        self.status.load(Ordering::SeqCst)
    }

    /// InterruptACK as the driver writes it.
    pub fn acknowledge(&self, bits: u32) {
        self.status.fetch_and(!bits, Ordering::SeqCst);
    }

    pub fn irqfd(&self) -> &EventFd {
        &self.irqfd
    }

    fn raise(&self, bit: u32) {
        self.status.fetch_or(bit, Ordering::SeqCst);
        // The counter can only overflow after 2^64 unread signals; an error here has no remedy and no effect.
        let _ = self.irqfd.write(1);
    }
}

//! The device as the transport sees it, and the handle by which the host sets its size.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use virtio_bindings::virtio_ids::VIRTIO_ID_BALLOON;
use vmm_sys_util::eventfd::EventFd;

use super::service::BalloonService;
use crate::thread::ThreadKind;
use crate::virtio::device::{ActivateError, ActivationContext, Interrupt, VirtioDevice};
use crate::virtio::features;
use crate::virtio::worker::Worker;

/// VIRTIO_BALLOON_F_DEFLATE_ON_OOM.
const DEFLATE_ON_OOM: u64 = 1 << 2;
/// VIRTIO_BALLOON_F_REPORTING.
const REPORTING: u64 = 1 << 5;
/// Inflate, deflate, and reports of free pages, of which Linux puts 32 into a chain.
const QUEUE_SIZES: [u16; 3] = [16, 16, 32];
/// Where the driver writes how large the balloon is.
const ACTUAL: u64 = 4;

/// The memory balloon.
#[derive(Debug, Default)]
pub struct Balloon {
    shared: Arc<Shared>,
    worker: Option<Worker>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Pages of 4 KiB that the guest shall give.
    target: AtomicU32,
    /// Pages that it has given, as it says.
    actual: AtomicU32,
    /// Of the running device.
    interrupt: Mutex<Option<Arc<Interrupt>>>,
    /// Written to when the guest has done what was asked.
    news: Mutex<Option<EventFd>>,
    /// Whether it was asked and has not: a guest that goes on to say so wakes nobody.
    awaited: AtomicBool,
}

impl Shared {
    fn note_actual(&self, actual: u32) {
        self.actual.store(actual, Ordering::SeqCst);
        if actual == self.target.load(Ordering::SeqCst)
            && self.awaited.swap(false, Ordering::SeqCst)
            && let Some(news) = &*self.news.lock().unwrap_or_else(PoisonError::into_inner)
        {
            // The counter cannot overflow: one write for each target.
            let _ = news.write(1);
        }
    }
}

/// Sets the size of a balloon from another thread. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct BalloonHandle(Arc<Shared>);

impl BalloonHandle {
    /// Asks the guest to give (or take back) memory until the balloon holds `pages` of 4 KiB. It may take its time,
    /// and takes pages back when it runs out of memory.
    pub fn set_target(&self, pages: u32) {
        self.0.target.store(pages, Ordering::SeqCst);
        self.0.awaited.store(true, Ordering::SeqCst);
        if let Some(interrupt) = &*self.0.interrupt.lock().unwrap_or_else(PoisonError::into_inner) {
            interrupt.signal_config();
        }
    }

    /// From now on `news` is written to once for each target that the guest says it has met.
    pub fn watch(&self, news: EventFd) {
        *self.0.news.lock().unwrap_or_else(PoisonError::into_inner) = Some(news);
    }

    /// Pages of 4 KiB that the guest shall give.
    pub fn target(&self) -> u32 {
        self.0.target.load(Ordering::SeqCst)
    }

    /// Pages of 4 KiB that the guest says it has given. It may lie.
    pub fn actual(&self) -> u32 {
        self.0.actual.load(Ordering::SeqCst)
    }
}

impl Balloon {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn handle(&self) -> BalloonHandle {
        BalloonHandle(Arc::clone(&self.shared))
    }

    fn set_interrupt(&self, interrupt: Option<Arc<Interrupt>>) {
        *self.shared.interrupt.lock().unwrap_or_else(PoisonError::into_inner) = interrupt;
    }
}

impl VirtioDevice for Balloon {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_BALLOON
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn features(&self) -> u64 {
        features::BASE | DEFLATE_ON_OOM | REPORTING
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let target = self.shared.target.load(Ordering::SeqCst).to_le_bytes();
        let actual = self.shared.actual.load(Ordering::SeqCst).to_le_bytes();
        features::read_config_bytes(&[target, actual].concat(), offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if let (ACTUAL, Ok(actual)) = (offset, data.try_into()) {
            self.shared.note_actual(u32::from_le_bytes(actual));
        }
    }

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        let interrupt = Arc::clone(&context.interrupt);
        let reporting = context.features & REPORTING != 0;
        let service = BalloonService::new(context, reporting)?;
        let worker = Worker::spawn(ThreadKind::Balloon, "virtio-balloon", service)
            .map_err(|error| ActivateError(format!("cannot start the balloon worker: {error}")))?;
        self.worker = Some(worker);
        self.set_interrupt(Some(interrupt));
        Ok(())
    }

    fn reset(&mut self) {
        self.set_interrupt(None);
        self.worker = None;
        // The guest owns all its memory again.
        self.shared.actual.store(0, Ordering::SeqCst);
    }
}

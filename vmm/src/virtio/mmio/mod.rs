//! The virtio-mmio transport, version 2 (virtio 1.2, section 4.2).
//!
//! Everything here is written by the guest at any time, in any order, by several vCPUs at once. What the
//! specification does not allow is ignored: legacy devices, registers of another width, feature words after
//! FEATURES_OK, queue registers after DRIVER_OK, status bits out of order.

mod queues;
mod registers;
mod status;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::{ActivationContext, ActiveQueue, GuestRam, Interrupt, VirtioDevice};
use crate::bus::{BusDevice, Outcome};
use crate::machine::worker::Worker;
use queues::QueueSetup;
use status::Status;

pub use registers::QUEUE_NOTIFY;

/// Begin of the device's own configuration space.
const CONFIG_SPACE: u64 = 0x100;

/// What the driver has written so far.
#[derive(Debug, Default)]
struct Driver {
    status: Status,
    /// Which 32 bits of the offered features the driver reads.
    offered_word: u32,
    /// Which 32 bits of its own choice it writes.
    accepted_word: u32,
    /// Its choice.
    features: u64,
    queue: u32,
    queues: Vec<QueueSetup>,
}

/// One device's window.
pub struct MmioTransport {
    device: Arc<Mutex<Box<dyn VirtioDevice>>>,
    device_type: u32,
    features: u64,
    queue_sizes: Vec<u16>,
    memory: GuestRam,
    interrupt: Arc<Interrupt>,
    kicks: Arc<[EventFd]>,
    /// Runs the device's activation and reset, away from the vCPU's thread and its narrow seccomp filter.
    worker: Worker,
    driver: Mutex<Driver>,
}

impl std::fmt::Debug for MmioTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MmioTransport").field("type", &self.device_type).finish_non_exhaustive()
    }
}

impl MmioTransport {
    /// Puts `device` behind a transport; the machine connects `interrupt` and [`MmioTransport::kicks`] to KVM.
    ///
    /// # Errors
    /// If no eventfd can be made.
    pub fn new(
        device: Box<dyn VirtioDevice>,
        memory: GuestRam,
        interrupt: Arc<Interrupt>,
        worker: Worker,
    ) -> io::Result<Self> {
        let queue_sizes = device.queue_max_sizes().to_vec();
        let kicks = queue_sizes
            .iter()
            .map(|_| EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            device_type: device.device_type(),
            features: device.features(),
            device: Arc::new(Mutex::new(device)),
            driver: Mutex::new(Driver { queues: queues::fresh(&queue_sizes), ..Driver::default() }),
            queue_sizes,
            memory,
            interrupt,
            kicks,
            worker,
        })
    }

    /// One eventfd per queue, for an ioeventfd on [`QUEUE_NOTIFY`] with the queue's index as its value.
    pub fn kicks(&self) -> &[EventFd] {
        &self.kicks
    }

    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Ends the device's workers; the machine stops.
    pub fn shut_down(&self) {
        self.with_driver(|driver| self.reset(driver));
    }

    fn with_driver<T>(&self, use_it: impl FnOnce(&mut Driver) -> T) -> T {
        use_it(&mut self.driver.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with_device<T>(&self, use_it: impl FnOnce(&mut dyn VirtioDevice) -> T) -> T {
        use_it(&mut **self.device.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A write to the Status register.
    fn set_status(&self, driver: &mut Driver, value: u32) {
        if value == 0 {
            self.reset(driver);
            return;
        }
        let accept_features = |driver_features: u64| {
            driver_features & !self.features == 0 && driver_features & status::FEATURE_VERSION_1 != 0
        };
        let step = driver.status.advance(value, accept_features(driver.features));
        if step == status::Step::Activate && !self.activate(driver) {
            driver.status.needs_reset();
            self.interrupt.signal_config();
        }
    }

    /// Hands the queues to the device. False if the driver set them up wrongly or the device cannot start.
    fn activate(&self, driver: &Driver) -> bool {
        let features = driver.features;
        let Some(built) = queues::build(&driver.queues, &self.queue_sizes, features, &self.memory) else {
            return false;
        };
        let (device, kicks) = (Arc::clone(&self.device), Arc::clone(&self.kicks));
        let (memory, interrupt) = (self.memory.clone(), Arc::clone(&self.interrupt));
        let start = move || {
            let active =
                |(queue, kick): (_, &EventFd)| Some(ActiveQueue { queue, kick: kick.try_clone().ok()? });
            let queues = built.into_iter().zip(kicks.iter()).map(active).collect::<Option<_>>()?;
            let context = ActivationContext { memory, features, queues, interrupt };
            device.lock().unwrap_or_else(PoisonError::into_inner).activate(context).ok()
        };
        self.worker.run(start).flatten().is_some()
    }

    fn reset(&self, driver: &mut Driver) {
        if driver.status.was_activated() {
            let device = Arc::clone(&self.device);
            // The worker is gone only when the machine stops, and the device with it.
            let _ = self.worker.run(move || device.lock().unwrap_or_else(PoisonError::into_inner).reset());
        }
        // A kick that is left over wakes the next driver's device once for nothing. Not emptied here: the device may
        // have made the eventfd blocking.
        self.interrupt.acknowledge(u32::MAX);
        *driver = Driver { queues: queues::fresh(&self.queue_sizes), ..Driver::default() };
    }
}

impl BusDevice for MmioTransport {
    fn read(&self, offset: u64, data: &mut [u8]) {
        match offset.checked_sub(CONFIG_SPACE) {
            Some(offset) => {
                data.fill(0);
                self.with_device(|device| device.read_config(offset, data));
            }
            None => match <&mut [u8; 4]>::try_from(&mut *data) {
                Ok(word) => *word = self.read_register(offset).to_le_bytes(),
                Err(_) => data.fill(0),
            },
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Outcome {
        match offset.checked_sub(CONFIG_SPACE) {
            Some(offset) => {
                // Before DRIVER the driver has no business in the configuration space (virtio 1.2, section 3.1.1).
                if self.with_driver(|driver| driver.status.has_driver()) {
                    self.with_device(|device| device.write_config(offset, data));
                }
            }
            None => {
                if let Ok(word) = <[u8; 4]>::try_from(data) {
                    self.write_register(offset, u32::from_le_bytes(word));
                }
            }
        }
        Outcome::Continue
    }
}

#[cfg(test)]
mod tests;

//! Virtio 1.2 devices over MMIO: the transport and one folder per device.

pub mod device;

pub use device::{ActivateError, ActivationContext, ActiveQueue, GuestRam, Interrupt, VirtioDevice};

//! Virtio 1.2 devices over MMIO: the transport and one folder per device.

pub mod balloon;
pub mod block;
pub mod device;
mod device_queue;
mod features;
pub mod fs;
mod guest_iovec;
pub mod mmio;
pub mod net;
pub mod rng;
#[cfg(test)]
pub(crate) mod test_utils;
pub mod vsock;
mod worker;

pub use device::{ActivateError, ActivationContext, ActiveQueue, GuestRam, Interrupt, VirtioDevice};

//! virtio-rng (virtio 1.2, section 5.4): the host kernel's random numbers, straight into guest buffers.
//!
//! Refuses to fill more than 64 KiB per request; the driver sees how much it got.

mod device;
mod service;

pub use device::Rng;

#[cfg(test)]
mod tests;

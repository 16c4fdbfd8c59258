//! virtio-net (virtio 1.2, section 5.1) on a tap, in this process: frames move with one readv or writev each
//! between the tap and guest memory. Checksums and segmentation are left to whoever does them last.
//!
//! One queue pair on two threads; each direction is a service of its own, so that more pairs, rate limits or
//! vhost-net take its place without the other noticing. Refuses frames of the guest that are too short or too long
//! for what was negotiated, and offloads that were not.

mod device;
mod frame;
mod offload;
mod rx;
mod tap;
mod tx;

pub use device::Net;
pub use tap::{Tap, TapError};

#[cfg(test)]
mod tests;

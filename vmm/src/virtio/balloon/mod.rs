//! virtio-balloon (virtio 1.2, section 5.5): memory that the guest does not need goes back to the host.
//!
//! Two ways: the guest reports free pages by itself (free page reporting), and a target set by the host makes it hand
//! over pages until it is met. Under memory pressure the guest takes them back (deflate on OOM). Only whole pages of
//! guest RAM are ever given back; everything else that the guest names is ignored.

mod device;
mod service;

pub use device::{Balloon, BalloonHandle};

#[cfg(test)]
mod tests;

//! virtio-blk (virtio 1.2, section 5.2) on a raw file or block device that the caller has opened.
//!
//! Refuses: everything but regular files and block devices; writes, discards and zeroes where the device is
//! read-only, whatever the driver negotiated; requests that leave the disk. No image format is ever looked for, so
//! nothing that a guest writes can make the device open another file.

mod device;
mod disk;
mod request;
mod service;

pub use device::Block;
pub use disk::BlockError;

#[cfg(test)]
mod tests;

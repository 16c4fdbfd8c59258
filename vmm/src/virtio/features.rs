//! Feature bits that do not depend on the device (virtio 1.2, section 6).

use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};

/// What every device offers: the modern interface, and kicks and interrupts only when asked for.
pub(crate) const BASE: u64 = (1 << VIRTIO_F_VERSION_1) | (1 << VIRTIO_RING_F_EVENT_IDX);

/// For devices whose requests have many buffers: a request takes one slot of the ring.
pub(crate) const INDIRECT: u64 = 1 << VIRTIO_RING_F_INDIRECT_DESC;

/// Copies the part of a device's configuration space that `data` asks for at `offset`; zeroes beyond it.
pub(crate) fn read_config_bytes(config: &[u8], offset: u64, data: &mut [u8]) {
    data.fill(0);
    let rest = usize::try_from(offset).ok().and_then(|start| config.get(start..)).unwrap_or_default();
    for (to, from) in data.iter_mut().zip(rest) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_beyond_the_configuration_are_zero() {
        let config = [1, 2, 3, 4];
        let read = |offset| {
            let mut data = [9; 3];
            read_config_bytes(&config, offset, &mut data);
            data
        };
        assert_eq!(read(0), [1, 2, 3]);
        assert_eq!(read(2), [3, 4, 0]);
        assert_eq!(read(4), [0; 3]);
        assert_eq!(read(u64::MAX), [0; 3]);
    }
}

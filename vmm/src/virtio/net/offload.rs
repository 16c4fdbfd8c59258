//! Which feature bits stand for which offloads of a tap.
//!
//! UFO is not offered: the kernel's own stack gave it up in 4.14 and USO took its place.

use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_HOST_ECN,
    VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_USO,
};

const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;

/// Offload of the tap, and the feature with which the driver takes such frames.
const TO_GUEST: [(u32, u32); 6] = [
    (libc::TUN_F_CSUM, VIRTIO_NET_F_GUEST_CSUM),
    (libc::TUN_F_TSO4, VIRTIO_NET_F_GUEST_TSO4),
    (libc::TUN_F_TSO6, VIRTIO_NET_F_GUEST_TSO6),
    (libc::TUN_F_TSO_ECN, VIRTIO_NET_F_GUEST_ECN),
    (TUN_F_USO4, VIRTIO_NET_F_GUEST_USO4),
    (TUN_F_USO6, VIRTIO_NET_F_GUEST_USO6),
];

/// Features whose frames need buffers for 64 KiB.
const LARGE: u64 = 1 << VIRTIO_NET_F_GUEST_TSO4
    | 1 << VIRTIO_NET_F_GUEST_TSO6
    | 1 << VIRTIO_NET_F_GUEST_USO4
    | 1 << VIRTIO_NET_F_GUEST_USO6;

/// Features to offer on a tap with these offloads. What it can hand out it can also take.
pub(super) fn features(tap: u32) -> u64 {
    let mut features = 0;
    for (offload, feature) in TO_GUEST {
        if tap & offload != 0 {
            features |= 1 << feature;
        }
    }
    for (offload, feature) in [
        (libc::TUN_F_CSUM, VIRTIO_NET_F_CSUM),
        (libc::TUN_F_TSO4, VIRTIO_NET_F_HOST_TSO4),
        (libc::TUN_F_TSO6, VIRTIO_NET_F_HOST_TSO6),
        (libc::TUN_F_TSO_ECN, VIRTIO_NET_F_HOST_ECN),
        (TUN_F_USO4, VIRTIO_NET_F_HOST_USO),
    ] {
        if tap & offload != 0 {
            features |= 1 << feature;
        }
    }
    features
}

/// What the tap may do with these negotiated features.
pub(super) fn offloads(features: u64) -> u32 {
    let mut offloads = 0;
    for (offload, feature) in TO_GUEST {
        if features & (1 << feature) != 0 {
            offloads |= offload;
        }
    }
    // The tap knows the two only together (tun.c, set_offload).
    if offloads & (TUN_F_USO4 | TUN_F_USO6) != TUN_F_USO4 | TUN_F_USO6 {
        offloads &= !(TUN_F_USO4 | TUN_F_USO6);
    }
    // Segments need checksums; the specification makes drivers ask for both.
    if offloads & libc::TUN_F_CSUM == 0 { 0 } else { offloads }
}

/// Whether frames to the guest may be as long as 64 KiB.
pub(super) fn large_frames(features: u64) -> bool {
    features & LARGE != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_and_taken_is_what_the_tap_does() {
        let all = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40;
        assert_eq!(offloads(features(all)), all);
        assert_eq!(offloads(features(0x01)), 0x01);
        assert_eq!(features(0), 0);
        assert_eq!(offloads(1 << VIRTIO_NET_F_GUEST_TSO4), 0, "no checksums, no segments");
        assert_eq!(offloads(1 << VIRTIO_NET_F_GUEST_CSUM | 1 << VIRTIO_NET_F_GUEST_USO4), 1);
    }
}

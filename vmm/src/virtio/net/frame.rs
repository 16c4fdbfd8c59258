//! What a frame of the guest must look like before the host's network stack sees it.
//!
//! The headers are checked in a copy, and the copy is what is sent: the guest cannot change them afterwards. A filter
//! of source addresses would look at the same bytes.

use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6,
    VIRTIO_NET_F_HOST_USO, VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE,
    VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP_L4,
};

use crate::virtio::guest_iovec::GuestIovec;

/// `struct virtio_net_hdr_v1`.
pub(super) const HEADER_LEN: usize = 12;
/// Destination, source, type.
const ETHERNET_LEN: usize = 14;
/// One more tag inside.
const VLAN_LEN: usize = 4;
/// Bytes before the payload of the network layer; all that is looked at.
const HEAD_LEN: usize = HEADER_LEN + ETHERNET_LEN;
/// Longest packet of IP, also before it is cut into segments.
const MAX_PACKET: usize = 65535;
/// Bytes that a frame to the guest may have with its header when segments are not cut (virtio 1.2, 5.1.6.3.1).
pub(super) const LARGE_FRAME: usize = 65562;

/// Bytes that an ordinary frame to the guest may have with its header.
pub(super) fn ordinary_frame(mtu: u16) -> usize {
    HEAD_LEN + VLAN_LEN + usize::from(mtu)
}

/// What the driver of this guest may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The negotiated features.
    pub(super) features: u64,
    /// Bytes of the largest packet that is not to be cut.
    pub(super) mtu: Option<u16>,
}

/// The checked first bytes of a frame.
pub(super) struct Head([u8; HEAD_LEN]);

impl Head {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Rules {
    /// Takes the head off an acceptable frame, leaving the rest in `frame`; `None` if it must not be sent.
    pub(super) fn admit(&self, frame: &mut GuestIovec<'_>) -> Option<Head> {
        let len = frame.len();
        let mut head = [0; HEAD_LEN];
        if frame.copy_to(&mut head) < HEAD_LEN || len > HEAD_LEN + VLAN_LEN + MAX_PACKET {
            return None;
        }
        let [flags, segmentation, ..] = head;
        if u32::from(flags) & VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 && !self.has(VIRTIO_NET_F_CSUM) {
            return None;
        }
        let segmentation = u32::from(segmentation);
        if segmentation & VIRTIO_NET_HDR_GSO_ECN != 0 && !self.has(VIRTIO_NET_F_HOST_ECN) {
            return None;
        }
        let allowed = match segmentation & !VIRTIO_NET_HDR_GSO_ECN {
            VIRTIO_NET_HDR_GSO_NONE => self.mtu.is_none_or(|mtu| len <= ordinary_frame(mtu)),
            VIRTIO_NET_HDR_GSO_TCPV4 => self.has(VIRTIO_NET_F_HOST_TSO4),
            VIRTIO_NET_HDR_GSO_TCPV6 => self.has(VIRTIO_NET_F_HOST_TSO6),
            VIRTIO_NET_HDR_GSO_UDP_L4 => self.has(VIRTIO_NET_F_HOST_USO),
            _ => false,
        };
        frame.advance(HEAD_LEN);
        allowed.then_some(Head(head))
    }

    fn has(&self, feature: u32) -> bool {
        self.features & (1 << feature) != 0
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::{Bytes, GuestAddress};

    use super::*;
    use crate::virtio::device::GuestRam;

    fn admitted(rules: Rules, flags: u8, segmentation: u8, len: u32) -> bool {
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), 0x20000)]).unwrap();
        ram.write_slice(&[flags, segmentation], GuestAddress(0)).unwrap();
        let mut frame = GuestIovec::default();
        frame.push(&ram, GuestAddress(0), len).unwrap();
        rules.admit(&mut frame).is_some_and(|head| head.as_bytes().len() + frame.len() == len as usize)
    }

    #[test]
    fn lengths_have_bounds() {
        let rules = Rules { features: 1 << VIRTIO_NET_F_HOST_TSO4, mtu: Some(1500) };
        for (len, expected) in [(0, false), (11, false), (25, false), (26, true), (1530, true), (1531, false)]
        {
            assert_eq!(admitted(rules, 0, 0, len), expected, "{len}");
        }
        assert!(admitted(rules, 0, 1, 65535 + 30));
        assert!(!admitted(rules, 0, 1, 65535 + 31));
        assert!(admitted(Rules { mtu: None, ..rules }, 0, 0, 9000));
    }

    #[test]
    fn only_negotiated_offloads_are_taken() {
        let bit = |feature: u32| Rules { features: 1 << feature, mtu: None };
        let none = Rules { features: 0, mtu: None };
        for (rules, flags, segmentation) in [
            (bit(VIRTIO_NET_F_CSUM), 1, 0),
            (bit(VIRTIO_NET_F_HOST_TSO4), 0, 1),
            (bit(VIRTIO_NET_F_HOST_TSO6), 0, 4),
            (bit(VIRTIO_NET_F_HOST_USO), 0, 5),
            (bit(VIRTIO_NET_F_HOST_ECN), 0, 0x80),
        ] {
            assert!(admitted(rules, flags, segmentation, 100));
            assert!(!admitted(none, flags, segmentation, 100), "{flags} {segmentation}");
        }
        for unknown in [2, 3, 6, 0x7f] {
            assert!(!admitted(Rules { features: u64::MAX, mtu: None }, 0, unknown, 100));
        }
    }
}

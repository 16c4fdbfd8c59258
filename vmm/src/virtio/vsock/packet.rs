//! The packet header (virtio 1.2, section 5.10.6).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::virtio::guest_iovec::GuestIovec;

/// Bytes of a header.
pub(super) const HEADER_LEN: usize = 44;
/// Most payload bytes of one packet; Linux never sends or expects more.
pub(super) const MAX_PAYLOAD: usize = 64 * 1024;
/// The host's context id (VMADDR_CID_HOST).
pub(super) const HOST_CID: u64 = 2;
/// VIRTIO_VSOCK_TYPE_STREAM.
pub(super) const TYPE_STREAM: u16 = 1;

/// Operations.
pub(super) mod op {
    pub(in super::super) const REQUEST: u16 = 1;
    pub(in super::super) const RESPONSE: u16 = 2;
    pub(in super::super) const RST: u16 = 3;
    pub(in super::super) const SHUTDOWN: u16 = 4;
    pub(in super::super) const RW: u16 = 5;
    pub(in super::super) const CREDIT_UPDATE: u16 = 6;
    pub(in super::super) const CREDIT_REQUEST: u16 = 7;
}

/// SHUTDOWN flag: the sender will receive no more.
pub(super) const SHUTDOWN_RCV: u32 = 1;
/// SHUTDOWN flag: the sender will send no more.
pub(super) const SHUTDOWN_SEND: u32 = 2;
/// Both directions are over: the answer is RST.
pub(super) const SHUTDOWN_BOTH: u32 = SHUTDOWN_RCV | SHUTDOWN_SEND;

/// Header of every packet.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct Header {
    pub(super) src_cid: U64,
    pub(super) dst_cid: U64,
    pub(super) src_port: U32,
    pub(super) dst_port: U32,
    pub(super) len: U32,
    pub(super) kind: U16,
    pub(super) op: U16,
    pub(super) flags: U32,
    pub(super) buf_alloc: U32,
    pub(super) fwd_cnt: U32,
}

const _: () = assert!(size_of::<Header>() == HEADER_LEN);

/// The two ports that name a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ports {
    pub(super) guest: u32,
    pub(super) host: u32,
}

impl Header {
    /// A packet to the guest without payload and credit.
    pub(super) fn to_guest(guest_cid: u64, ports: Ports, op: u16) -> Self {
        Self {
            src_cid: HOST_CID.into(),
            dst_cid: guest_cid.into(),
            src_port: ports.host.into(),
            dst_port: ports.guest.into(),
            kind: TYPE_STREAM.into(),
            op: op.into(),
            ..Self::default()
        }
    }

    /// The header at the start of a guest's buffers, copied: the guest cannot change it any more.
    pub(super) fn read(from: &GuestIovec<'_>) -> Option<Self> {
        let mut bytes = [0; HEADER_LEN];
        if from.copy_to(&mut bytes) < HEADER_LEN {
            return None;
        }
        Self::read_from_bytes(&bytes).ok()
    }

    /// The connection of a packet from the guest.
    pub(super) fn ports(&self) -> Ports {
        Ports { guest: self.src_port.get(), host: self.dst_port.get() }
    }
}

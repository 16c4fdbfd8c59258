//! What every request and every reply begins with.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct fuse_in_header`.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct InHeader {
    /// Length of the whole request in bytes, this header included.
    pub len: u32,
    pub opcode: u32,
    pub unique: u64,
    pub nodeid: u64,
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
    /// Length of the extensions at the end of the request, in units of 8 bytes.
    pub total_extlen: u16,
    pub padding: u16,
}

/// `struct fuse_out_header`.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct OutHeader {
    /// Length of the whole reply in bytes, this header included.
    pub len: u32,
    /// Zero or a negative errno.
    pub error: i32,
    pub unique: u64,
}

/// Size of [`InHeader`] on the wire.
pub(crate) const IN_HEADER_LEN: usize = size_of::<InHeader>();
/// Size of [`OutHeader`] on the wire.
pub(crate) const OUT_HEADER_LEN: usize = size_of::<OutHeader>();

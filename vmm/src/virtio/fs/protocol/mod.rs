//! The FUSE wire format as virtio-fs uses it (virtio 1.2, section 5.11; Linux `include/uapi/linux/fuse.h`, 7.41).
//!
//! Plain structures in host byte order and bounds-checked readers for them; nothing here touches a file or
//! guest memory. Refuses: short messages, strings without an end, names that are more than one path component.

pub(crate) mod attr;
pub(crate) mod dirent;
pub(crate) mod extension;
pub(crate) mod flags;
pub(crate) mod header;
pub(crate) mod init;
pub(crate) mod message;
pub(crate) mod name;
pub(crate) mod opcode;
pub(crate) mod requests;

pub(crate) use attr::{Attr, AttrOut, EntryOut, SetattrIn, StatxOut};
pub(crate) use header::{InHeader, OutHeader};
pub(crate) use init::{InitFlags, InitIn, InitOut};
pub(crate) use message::Message;
pub(crate) use name::Name;
pub(crate) use opcode::Opcode;

/// The node id of the share's root.
pub(crate) const ROOT_ID: u64 = 1;

/// Largest payload of one READ or WRITE, in bytes (`max_write`, 256 pages).
pub(crate) const MAX_TRANSFER: u32 = 1 << 20;

/// Largest extended attribute value or list, in bytes (Linux `XATTR_SIZE_MAX`).
pub(crate) const MAX_XATTR: usize = 65536;

/// Largest symlink target, in bytes, without the final NUL (Linux `PATH_MAX` - 1).
pub(crate) const MAX_TARGET: usize = 4095;

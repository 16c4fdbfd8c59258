//! Takes a descriptor chain apart into the memory of a request and of its reply.

use std::ops::Deref;

use virtio_queue::DescriptorChain;
use vm_memory::{GuestMemory, Permissions};

use super::buffers::Buffers;
use crate::virtio::GuestRam;

/// The most pieces one request may have: what one `preadv2` takes. A guest needs 260 for 1 MiB.
const MAX_DESCRIPTORS: usize = libc::UIO_MAXIOV as usize;

/// The readable and the writable part of a chain, in `memory`.
///
/// None if a part is not guest memory, if a readable descriptor follows a writable one (virtio 1.2, section
/// 2.7.4.2), or if there are too many.
pub(super) fn split<M>(chain: DescriptorChain<M>, memory: &GuestRam) -> Option<(Buffers<'_>, Buffers<'_>)>
where
    M: Deref,
    M::Target: GuestMemory,
{
    let (mut readable, mut writable) = (Buffers::default(), Buffers::default());
    for (count, descriptor) in chain.enumerate() {
        if count >= MAX_DESCRIPTORS {
            return None;
        }
        let (part, access) = if descriptor.is_write_only() {
            (&mut writable, Permissions::Write)
        } else if writable.is_empty() {
            (&mut readable, Permissions::Read)
        } else {
            return None;
        };
        for slice in memory.get_slices(descriptor.addr(), descriptor.len() as usize, access).ok()? {
            part.push(slice.ok()?);
        }
    }
    Some((readable, writable))
}

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
/// 2.7.4.2), if there are too many, or if the chain breaks off.
pub(super) fn split<M>(chain: DescriptorChain<M>, memory: &GuestRam) -> Option<(Buffers<'_>, Buffers<'_>)>
where
    M: Deref,
    M::Target: GuestMemory,
{
    let (mut readable, mut writable) = (Buffers::default(), Buffers::default());
    // The iterator ends silently at a loop, a bad index or an unreadable table.
    let mut unfinished = true;
    for descriptor in chain.take(MAX_DESCRIPTORS) {
        unfinished = descriptor.has_next();
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
    (!unfinished).then_some((readable, writable))
}

//! Guest RAM: private anonymous memory below and above the device hole, registered with KVM.
//!
//! Private, so that a later clone of a machine can share pages with its template until it writes them.
//! Refuses to grow, to move and to be shared with another process.

pub mod file;
pub mod huge_pages;

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap, MmapRegion};

use crate::arch::layout;
use crate::virtio::GuestRam;

/// What a page table's second level maps, bytes.
const HUGE_PAGE: usize = 2 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot reserve {mib} MiB of guest memory: {source}; ask for less memory")]
    Reserve { mib: u64, source: vm_memory::mmap::MmapRegionError },
    #[error("guest memory of {mib} MiB does not fit the address space")]
    Layout { mib: u64 },
    #[error("KVM refuses guest memory at {address:#x}: {source}")]
    Register { address: u64, source: kvm_ioctls::Error },
}

/// Reserves `size` bytes of guest RAM; no page is touched.
///
/// # Errors
/// If the address space of this process has no room for it.
pub fn allocate(size: u64) -> Result<GuestRam, Error> {
    let mib = size >> 20;
    let mut regions = Vec::with_capacity(2);
    for (base, len) in layout::ram_ranges(size) {
        let len = usize::try_from(len).map_err(|_| Error::Layout { mib })?;
        let mapping = reserve(len).map_err(|source| Error::Reserve { mib, source })?;
        huge_pages::refuse(&mapping);
        regions.push(GuestRegionMmap::new(mapping, GuestAddress(base)).ok_or(Error::Layout { mib })?);
    }
    GuestRam::from_regions(regions).map_err(|_| Error::Layout { mib })
}

/// Tells KVM where guest RAM is; slots count from 0 in address order.
///
/// # Errors
/// If KVM refuses a region.
pub fn register(vm: &VmFd, memory: &GuestRam) -> Result<(), Error> {
    for (slot, region) in (0_u32..).zip(memory.iter()) {
        let entry = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.start_addr().0,
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the region is a live mapping of `memory_size` bytes; the machine keeps it until the VM is closed.
        unsafe { vm.set_user_memory_region(entry) }
            .map_err(|source| Error::Register { address: region.start_addr().0, source })?;
    }
    Ok(())
}

/// Maps `len` bytes, on a huge page boundary where that can be had: kernels before 6.7 do not align by themselves.
fn reserve(len: usize) -> Result<MmapRegion<()>, vm_memory::mmap::MmapRegionError> {
    let map = |len| {
        MmapRegionBuilder::new(len)
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE)
            .build()
    };
    let first = map(len)?;
    let excess = first.as_ptr() as usize % HUGE_PAGE;
    if excess == 0 || len < HUGE_PAGE {
        return Ok(first);
    }
    drop(first);
    // Mappings grow downwards: with this one in place the next ends where an aligned one would.
    let _padding = map(excess)?;
    map(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{Bytes, GuestMemoryBackend};

    #[test]
    fn memory_beyond_the_hole_continues_at_4_gib() {
        let memory = allocate(5 << 30).unwrap();
        assert_eq!(memory.num_regions(), 2);
        assert_eq!(memory.last_addr().0, layout::HIGH_RAM_START + (2 << 30) - 1);
        memory.write_obj(0x5a_u8, memory.last_addr()).unwrap();
        assert_eq!(memory.read_obj::<u8>(memory.last_addr()).unwrap(), 0x5a);
        assert!(!memory.address_in_range(GuestAddress(layout::HOLE_START)));
    }

    #[test]
    fn regions_are_aligned_for_huge_pages() {
        let memory = allocate(64 << 20).unwrap();
        for region in memory.iter() {
            assert_eq!(region.as_ptr() as usize % HUGE_PAGE, 0);
        }
    }

    #[test]
    fn more_than_the_address_space_is_an_error() {
        let error = allocate(1 << 56).unwrap_err().to_string();
        assert!(error.contains("ask for less memory"), "{error}");
    }
}

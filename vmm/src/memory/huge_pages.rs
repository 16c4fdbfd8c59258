//! When guest RAM is backed by huge pages: not while the guest boots, except for what a boot fills as a whole.
//!
//! A boot touches a few pages here and there, and zeroing 2 MiB for each costs more than the page faults that it
//! saves; a guest that goes on to work gains from huge pages with every miss of its TLB. So they are refused at first
//! and asked for when the guest has been up for a while ([`advise`]).

use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, MmapRegion};

use super::HUGE_PAGE;
use crate::virtio::GuestRam;

/// Linux describes each page of 4 KiB by 64 bytes, in one piece as high in RAM as there is room.
const MEMORY_MAP_SHARE: u64 = 64;

/// Small pages until [`advise`], whatever the host's default is.
pub(super) fn refuse(mapping: &MmapRegion<()>) {
    // SAFETY: advice on a mapping that we own; it changes no content.
    unsafe { libc::madvise(mapping.as_ptr().cast(), mapping.size(), libc::MADV_NOHUGEPAGE) };
}

/// Huge pages where the booting kernel will describe its memory: below `low_end` and at the end of the RAM above 4 GiB.
pub fn for_memory_map(memory: &GuestRam, low_end: u64) {
    let all: u64 = memory.iter().map(GuestMemoryRegion::len).sum();
    for region in memory.iter() {
        let low = region.start_addr().raw_value() == 0;
        let end = align(if low { low_end.min(region.len()) } else { region.len() });
        advise_range(memory, region.start_addr(), align(end.saturating_sub(all / MEMORY_MAP_SHARE)), end);
    }
}

/// Huge pages where the kernel's writable segments fill most of them, from `start` to `end`.
pub fn for_segments(memory: &GuestRam, start: u64, end: u64) {
    let (start, end) = (align(start + HUGE_PAGE as u64 - 1), align(end));
    if start < end {
        advise_range(memory, GuestAddress(0), start, end);
    }
}

/// Huge pages everywhere that has not been touched; the host's khugepaged collects the rest in time.
pub fn advise(memory: &GuestRam) {
    for region in memory.iter() {
        advise_range(memory, region.start_addr(), 0, region.len());
    }
}

fn align(offset: u64) -> u64 {
    offset & !(HUGE_PAGE as u64 - 1)
}

fn advise_range(memory: &GuestRam, region: GuestAddress, start: u64, end: u64) {
    let len = (end - start) as usize;
    // The range is in the region, whose length is one of this process's; without it there is nothing to advise on.
    let Ok(range) = memory.get_slice(region.unchecked_add(start), len) else { return };
    let at = range.ptr_guard_mut().as_ptr().cast();
    // SAFETY: advice on a range of a mapping that we own; it changes no content.
    unsafe { libc::madvise(at, len, libc::MADV_HUGEPAGE) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::allocate;

    /// The `VmFlags` of the mappings that hold `memory`, in address order (proc_pid_smaps(5)): start, end, huge.
    fn flags(memory: &GuestRam) -> Vec<(u64, u64, bool)> {
        let region = memory.iter().next().unwrap();
        let (base, len) = (region.as_ptr() as u64, region.len());
        let mut found = Vec::new();
        let mut range = (0, 0);
        for line in std::fs::read_to_string("/proc/self/smaps").unwrap().lines() {
            let first = line.split(' ').next().unwrap_or_default();
            if let Some((start, end)) = first.split_once('-') {
                range = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap()).into();
            } else if first == "VmFlags:" && range.0 < base + len && range.1 > base {
                let has = |flag| line.split_whitespace().any(|word| word == flag);
                assert!(has("hg") != has("nh"), "{line}");
                found.push((range.0.max(base) - base, range.1.min(base + len) - base, has("hg")));
            }
        }
        found
    }

    #[test]
    fn a_boot_gets_small_pages_but_for_the_memory_map() {
        let mib = |n: u64| n << 20;
        let memory = allocate(mib(512)).unwrap();
        for_memory_map(&memory, mib(511));
        let expected = [(0, mib(502), false), (mib(502), mib(510), true), (mib(510), mib(512), false)];
        assert_eq!(flags(&memory), expected);
    }

    #[test]
    fn a_settled_guest_gets_huge_pages_everywhere() {
        let memory = allocate(64 << 20).unwrap();
        for_memory_map(&memory, 64 << 20);
        advise(&memory);
        assert!(flags(&memory).iter().all(|(_, _, huge)| *huge));
    }
}

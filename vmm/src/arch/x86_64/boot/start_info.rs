//! The PVH start structures (Xen include/public/arch-x86/hvm/start_info.h, version 1).

use std::io;

use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
use zerocopy::{Immutable, IntoBytes};

use super::super::layout;
use crate::memory::file;
use crate::virtio::GuestRam;

const MAGIC: u32 = 0x336e_c578;
const VERSION: u32 = 1;
const MEMMAP_RAM: u32 = 1;

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    cmdline: u64,
    rsdp: u64,
    memmap: u64,
    memmap_entries: u32,
    reserved: u32,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Module {
    address: u64,
    size: u64,
    cmdline: u64,
    reserved: u64,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct MemoryRange {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

/// Writes start info, module list (the initramfs) and memory map to their places.
pub(super) fn write(memory: &GuestRam, initramfs: u64, initramfs_size: u64) -> io::Result<()> {
    let mut ranges = vec![ram(0, layout::LOW_RAM_END)];
    for region in memory.iter() {
        let start = region.start_addr().0.max(layout::MAIN_RAM_START);
        ranges.push(ram(start, (region.start_addr().0 + region.len()).saturating_sub(start)));
    }
    let info = StartInfo {
        magic: MAGIC,
        version: VERSION,
        flags: 0,
        module_count: 1,
        modules: layout::MODLIST,
        cmdline: layout::CMDLINE,
        rsdp: 0,
        memmap: layout::MEMMAP,
        memmap_entries: ranges.len() as u32,
        reserved: 0,
    };
    let module = Module { address: initramfs, size: initramfs_size, cmdline: 0, reserved: 0 };
    file::write(memory, info.as_bytes(), layout::START_INFO)?;
    file::write(memory, module.as_bytes(), layout::MODLIST)?;
    file::write(memory, ranges.as_bytes(), layout::MEMMAP)
}

fn ram(address: u64, size: u64) -> MemoryRange {
    MemoryRange { address, size, kind: MEMMAP_RAM, reserved: 0 }
}

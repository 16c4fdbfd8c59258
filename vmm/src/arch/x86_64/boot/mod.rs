//! Loads the kernel and the initramfs and writes the PVH start information.
//!
//! Only uncompressed ELF kernels with a PVH note boot: no firmware, no real mode, no decompressor. Every number in
//! the files is checked against the file's size and guest RAM before it is used.

mod elf;
mod initramfs;
mod start_info;

use std::fs::File;
use std::io;
use std::path::Path;

use vm_memory::{GuestAddress, GuestMemoryBackend};

use super::{layout, mptable};
use crate::memory::{file, huge_pages};
use crate::virtio::GuestRam;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("kernel {path}: {reason}; install the vmlinux that belongs to this version or build it again")]
    Kernel { path: String, reason: String },
    #[error(
        "initramfs {path}: {reason}; install the initramfs.cpio that belongs to this version or build it again"
    )]
    Initramfs { path: String, reason: String },
    #[error("{path} needs {needed} MiB of guest memory but the machine has {mib} MiB; give it more memory")]
    TooSmall { path: String, needed: u64, mib: u64 },
    #[error("kernel command line of {len} bytes is longer than {max}; shorten the part that is appended")]
    CommandLine { len: usize, max: usize },
    #[error("cannot write boot data to guest memory: {0}")]
    Write(io::Error),
}

/// What the kernel and the initramfs are; both opened by the caller, before it gave up its rights.
#[derive(Debug)]
pub struct Images<'a> {
    pub kernel: &'a File,
    pub kernel_path: &'a Path,
    pub initramfs: &'a File,
    pub initramfs_path: &'a Path,
}

/// Fills guest RAM for a boot with `cpus` processors; returns the 32-bit entry point.
///
/// # Errors
/// If a file is damaged, or something does not fit.
pub fn load(memory: &GuestRam, images: &Images<'_>, cmdline: &str, cpus: u8) -> Result<u64, Error> {
    let kernel_error =
        |reason: String| Error::Kernel { path: images.kernel_path.display().to_string(), reason };
    let kernel = elf::parse(images.kernel).map_err(|e| kernel_error(e.to_string()))?;
    let low_end = low_ram_end(memory);
    let mib = memory.iter().map(vm_memory::GuestMemoryRegion::len).sum::<u64>() >> 20;
    for segment in &kernel.segments {
        if segment.address < layout::MAIN_RAM_START {
            return Err(kernel_error(format!("a segment at {:#x} overlaps the first MiB", segment.address)));
        }
        if segment.end() > low_end {
            let needed = segment.end().div_ceil(1 << 20);
            return Err(Error::TooSmall { path: images.kernel_path.display().to_string(), needed, mib });
        }
    }
    let written = || kernel.segments.iter().filter(|segment| segment.writable);
    if let Some(start) = written().map(|segment| segment.address).min() {
        huge_pages::for_segments(memory, start, written().map(elf::Segment::end).max().unwrap_or(start));
    }
    for segment in &kernel.segments {
        let to = GuestAddress(segment.address);
        let put = if segment.writable { file::place } else { file::map };
        put(memory, images.kernel, segment.offset, segment.file_size, to)
            .map_err(|e| kernel_error(format!("cannot be read into guest memory: {e}")))?;
    }

    let initramfs_error =
        |reason| Error::Initramfs { path: images.initramfs_path.display().to_string(), reason };
    let size = initramfs::check(images.initramfs).map_err(initramfs_error)?;
    // As high as it goes: the kernel allocates from the bottom. It is told to keep what it has unpacked
    // (`retain_initrd`): giving it back would fill it with a pattern and so copy each page of the file.
    let start = low_end.saturating_sub(size) & !0xfff;
    if start < kernel.end() {
        let needed = (kernel.end() + size).div_ceil(1 << 20) + 1;
        return Err(Error::TooSmall { path: images.initramfs_path.display().to_string(), needed, mib });
    }
    file::map(memory, images.initramfs, 0, size, GuestAddress(start))
        .map_err(|e| initramfs_error(format!("cannot be read into guest memory: {e}")))?;

    let mut line = cmdline.as_bytes().to_vec();
    line.push(0);
    if line.len() > layout::CMDLINE_MAX || cmdline.bytes().any(|b| b == 0) {
        return Err(Error::CommandLine { len: cmdline.len(), max: layout::CMDLINE_MAX - 1 });
    }
    let put = |bytes: &[u8], to| file::write(memory, bytes, to).map_err(Error::Write);
    huge_pages::for_memory_map(memory, start);
    put(&line, layout::CMDLINE)?;
    put(&mptable::floating_pointer(), layout::MP_POINTER)?;
    put(&mptable::table(cpus), layout::MP_TABLE)?;
    start_info::write(memory, start, size).map_err(Error::Write)?;
    Ok(kernel.entry)
}

/// End of RAM below the device hole.
fn low_ram_end(memory: &GuestRam) -> u64 {
    memory.find_region(GuestAddress(0)).map_or(0, vm_memory::GuestMemoryRegion::len)
}

#[cfg(test)]
mod tests;

//! Puts pieces of a file into guest RAM: whole pages are mapped copy-on-write, the edges are copied.
//!
//! The caller has checked the range against the file's size. A file that shrinks afterwards would raise SIGBUS
//! on access; the kernel and the initramfs are installed files of the host and trusted not to.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use crate::virtio::GuestRam;

const PAGE: u64 = 4096;

/// How bytes get from the file into guest RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Page cache pages, shared until the guest writes them.
    Map,
    /// A private copy, which can live in huge pages.
    Copy,
}

/// Makes `len` bytes at `offset` of `file` appear at guest address `to`.
///
/// # Errors
/// If the range is not in guest RAM or not in the file.
pub fn place(
    memory: &GuestRam,
    file: &File,
    offset: u64,
    len: u64,
    to: GuestAddress,
    method: Method,
) -> io::Result<()> {
    let end = to.0.checked_add(len).ok_or_else(outside)?;
    let first_page = to.0.next_multiple_of(PAGE);
    let last_page = end - end % PAGE;
    if method == Method::Copy || offset % PAGE != to.0 % PAGE || first_page >= last_page {
        return copy(memory, file, offset, len, to);
    }
    let head = first_page - to.0;
    let body = last_page - first_page;
    copy(memory, file, offset, head, to)?;
    map(memory, file, offset + head, body, GuestAddress(first_page))?;
    copy(memory, file, offset + head + body, end - last_page, GuestAddress(last_page))
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside of guest memory")
}

fn copy(memory: &GuestRam, file: &File, mut offset: u64, len: u64, to: GuestAddress) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let len = usize::try_from(len).map_err(|_| outside())?;
    for slice in memory.get_slices(to, len) {
        let slice = slice.map_err(|_| outside())?;
        let guard = slice.ptr_guard_mut();
        // SAFETY: the slice is a live part of guest RAM of that length; no guest runs yet, so nothing else writes it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(guard.as_ptr(), slice.len()) };
        file.read_exact_at(bytes, offset)?;
        offset += slice.len() as u64;
    }
    Ok(())
}

fn map(memory: &GuestRam, file: &File, offset: u64, len: u64, to: GuestAddress) -> io::Result<()> {
    let size = usize::try_from(len).map_err(|_| outside())?;
    let slice = memory.get_slice(to, size).map_err(|_| outside())?;
    let offset = libc::off_t::try_from(offset).map_err(|_| outside())?;
    let guard = slice.ptr_guard_mut();
    // SAFETY: the target is exactly `size` bytes of guest RAM that we own, page aligned on both sides; replacing
    // the pages keeps every address valid.
    let mapped = unsafe {
        libc::mmap(
            guard.as_ptr().cast(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE,
            file.as_raw_fd(),
            offset,
        )
    };
    if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Writes `bytes` at `to`.
///
/// # Errors
/// If the range is not in guest RAM.
pub fn write(memory: &GuestRam, bytes: &[u8], to: u64) -> io::Result<()> {
    memory.write_slice(bytes, GuestAddress(to)).map_err(|_| outside())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn pattern(len: usize) -> (Vec<u8>, File) {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (bytes, file)
    }

    fn check(offset: u64, len: u64, to: u64, method: Method) {
        let (bytes, file) = pattern(20_000);
        let memory = crate::memory::allocate(1 << 20).unwrap();
        place(&memory, &file, offset, len, GuestAddress(to), method).unwrap();
        let mut seen = vec![0; len as usize + 64];
        memory.read_slice(&mut seen, GuestAddress(to)).unwrap();
        assert_eq!(seen[..len as usize], bytes[offset as usize..(offset + len) as usize]);
        assert!(seen[len as usize..].iter().all(|b| *b == 0), "nothing beyond the range");
    }

    #[test]
    fn aligned_and_unaligned_pieces_arrive_exactly() {
        for method in [Method::Map, Method::Copy] {
            check(0, 8192, 0x1000, method);
            check(4096, 10_000, 0x2000, method);
            check(100, 9000, 0x3064, method);
            check(5, 9000, 0x4000, method);
            check(4096, 12, 0x5000, method);
        }
    }

    #[test]
    fn writes_do_not_reach_the_file() {
        let (bytes, file) = pattern(8192);
        let memory = crate::memory::allocate(1 << 20).unwrap();
        place(&memory, &file, 0, 8192, GuestAddress(0x1000), Method::Map).unwrap();
        memory.write_slice(&[0xff; 16], GuestAddress(0x1000)).unwrap();
        let mut kept = [0; 16];
        file.read_exact_at(&mut kept, 0).unwrap();
        assert_eq!(kept, bytes[..16]);
    }

    #[test]
    fn ranges_outside_memory_or_file_are_errors() {
        let (_, file) = pattern(8192);
        let memory = crate::memory::allocate(1 << 20).unwrap();
        assert!(place(&memory, &file, 0, 8192, GuestAddress(0xff_000), Method::Map).is_err());
        assert!(place(&memory, &file, 0, 8192, GuestAddress(u64::MAX - 4096), Method::Copy).is_err());
        assert!(place(&memory, &file, 4096, 8192, GuestAddress(0x1001), Method::Copy).is_err());
    }
}

//! Puts pieces of a file into guest RAM: mapped where the guest hardly writes, copied where it does.
//!
//! What is mapped costs a page fault for each page that the guest touches and nothing for the others, and all guests
//! share the page cache's pages until they write them. What the guest writes would fault twice and is better copied.
//! The figures are in ARCHITECTURE.md.
//!
//! The caller has checked the range against the file's size. A file that shrinks would raise SIGBUS, one that is
//! written into would change under the guest: the kernel and the initramfs are installed files of the host, trusted to
//! be replaced as a whole (rename) like running programs are.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use crate::virtio::GuestRam;

const PAGE: u64 = 4096;
/// Copies of this size use the processor's wide registers; longer ones its string instructions, which are slow in
/// emulated and nested machines.
const CHUNK: usize = 256;

/// Part of a file in this process's memory, read-only.
struct Mapping {
    address: *mut libc::c_void,
    len: usize,
}

impl Mapping {
    /// `offset` is a multiple of the page size.
    fn new(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(|_| outside())?;
        let flags = libc::MAP_PRIVATE | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address =
            unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ, flags, file.as_raw_fd(), offset) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { address, len })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `len` bytes long, lives as long as `self` and is never written.
        unsafe { std::slice::from_raw_parts(self.address.cast(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which no reference is left.
        unsafe { libc::munmap(self.address, self.len) };
    }
}

/// Makes `len` bytes at `offset` of `file` appear at guest address `to`, as private pages of the file where whole
/// pages fall together and as a copy at the end or where they do not. What was in guest RAM there is gone.
///
/// # Errors
/// If the range is not in guest RAM or not in the file.
pub fn map(memory: &GuestRam, file: &File, offset: u64, len: u64, to: GuestAddress) -> io::Result<()> {
    let whole = if offset.is_multiple_of(PAGE) && to.0.is_multiple_of(PAGE) { len & !(PAGE - 1) } else { 0 };
    if whole > 0 {
        check_range(file, offset, whole)?;
        let size = usize::try_from(whole).map_err(|_| outside())?;
        let from = libc::off_t::try_from(offset).map_err(|_| outside())?;
        let target = memory.get_slice(to, size).map_err(|_| outside())?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
        let at = target.ptr_guard_mut().as_ptr().cast();
        // SAFETY: the pages are our own guest RAM, which the slice keeps mapped; guest RAM is only ever accessed
        // through volatile pointers, so what is in it may change. Unmapping the region unmaps these pages too.
        let address = unsafe { libc::mmap(at, size, protection, flags, file.as_raw_fd(), from) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
    }
    place(memory, file, offset + whole, len - whole, GuestAddress(to.0 + whole))
}

fn check_range(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let end = offset.checked_add(len).ok_or(io::ErrorKind::UnexpectedEof)?;
    if end > file.metadata()?.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// Copies `len` bytes at `offset` of `file` to guest address `to`.
///
/// # Errors
/// If the range is not in guest RAM or not in the file.
pub fn place(memory: &GuestRam, file: &File, offset: u64, len: u64, to: GuestAddress) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let size = usize::try_from(len).map_err(|_| outside())?;
    check_range(file, offset, len)?;
    let target = memory.get_slice(to, size).map_err(|_| outside())?;
    let lead = offset % PAGE;
    let mapping = Mapping::new(file, offset - lead, size + lead as usize)?;
    let source = mapping.bytes().get(lead as usize..).unwrap_or_default();
    for (at, chunk) in (0..).step_by(CHUNK).zip(source.chunks(CHUNK)) {
        target.subslice(at, chunk.len()).map_err(|_| outside())?.copy_from(chunk);
    }
    Ok(())
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside of guest memory")
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
    use std::os::unix::fs::FileExt;

    fn pattern(len: usize) -> (Vec<u8>, File) {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (bytes, file)
    }

    fn check(offset: u64, len: u64, to: u64) {
        for way in [place, map] {
            let (bytes, file) = pattern(20_000);
            let memory = crate::memory::allocate(1 << 20).unwrap();
            way(&memory, &file, offset, len, GuestAddress(to)).unwrap();
            let mut seen = vec![0; len as usize + 64];
            memory.read_slice(&mut seen, GuestAddress(to)).unwrap();
            assert_eq!(seen[..len as usize], bytes[offset as usize..(offset + len) as usize]);
            assert!(seen[len as usize..].iter().all(|b| *b == 0), "nothing beyond the range");
        }
    }

    #[test]
    fn aligned_and_unaligned_pieces_arrive_exactly() {
        check(0, 8192, 0x1000);
        check(4096, 10_000, 0x2000);
        check(100, 9000, 0x3064);
        check(5, 9000, 0x4000);
        check(4096, 12, 0x5000);
    }

    #[test]
    fn writes_do_not_reach_the_file() {
        for way in [place, map] {
            let (bytes, file) = pattern(8192);
            let memory = crate::memory::allocate(1 << 20).unwrap();
            way(&memory, &file, 0, 8192, GuestAddress(0x1000)).unwrap();
            memory.write_slice(&[0xff; 16], GuestAddress(0x1000)).unwrap();
            let mut kept = [0; 16];
            file.read_exact_at(&mut kept, 0).unwrap();
            assert_eq!(kept, bytes[..16]);
        }
    }

    #[test]
    fn ranges_outside_memory_or_file_are_errors() {
        let (_, file) = pattern(8192);
        let memory = crate::memory::allocate(1 << 20).unwrap();
        for way in [place, map] {
            assert!(way(&memory, &file, 0, 8192, GuestAddress(0xff_000)).is_err());
            assert!(way(&memory, &file, 0, 8192, GuestAddress(u64::MAX - 4096)).is_err());
            assert!(way(&memory, &file, 0, 8192, GuestAddress(u64::MAX - 4095)).is_err());
            assert!(way(&memory, &file, 4096, 8192, GuestAddress(0x1000)).is_err());
            assert!(way(&memory, &file, 4096, 8192, GuestAddress(0x1001)).is_err());
        }
    }
}

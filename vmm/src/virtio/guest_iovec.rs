//! Guest buffers as a list of iovecs, and the system calls that move bytes straight into and out of them.
//!
//! A [`GuestIovec`] only ever holds ranges that guest memory resolved, so it cannot name host memory.
//! It hands out no references: the guest may write the same bytes at any time.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};

use vm_memory::{GuestAddress, GuestMemoryBackend};

use super::device::GuestRam;

/// Most buffers in one list: the kernel's IOV_MAX. Longer chains are refused.
pub(crate) const MAX_BUFFERS: usize = 1024;

/// Bytes of a page of the host and of the guest.
const PAGE: usize = 4096;

/// An address range of a descriptor is not (all) guest RAM, or the list is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("descriptor does not describe guest memory")]
pub(crate) struct BadRange;

/// Buffers of one direction of a descriptor chain, in order; valid while the guest memory is mapped.
#[derive(Debug, Clone, Default)]
pub(crate) struct GuestIovec<'m> {
    iov: Vec<libc::iovec>,
    /// Buffers before this index are used up.
    start: usize,
    len: usize,
    memory: PhantomData<&'m GuestRam>,
}

impl<'m> GuestIovec<'m> {
    /// Appends the guest range `[address, address + len)`.
    ///
    /// # Errors
    /// If the range leaves guest RAM or the list would exceed [`MAX_BUFFERS`].
    pub(crate) fn push(
        &mut self,
        memory: &'m GuestRam,
        address: GuestAddress,
        len: u32,
    ) -> Result<(), BadRange> {
        for slice in memory.get_slices(address, len as usize) {
            let slice = slice.map_err(|_| BadRange)?;
            if self.iov.len() >= MAX_BUFFERS {
                return Err(BadRange);
            }
            self.iov
                .push(libc::iovec { iov_base: slice.ptr_guard_mut().as_ptr().cast(), iov_len: slice.len() });
            self.len = self.len.checked_add(slice.len()).ok_or(BadRange)?;
        }
        Ok(())
    }

    /// Bytes left.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Buffers left.
    pub(crate) fn buffers(&self) -> usize {
        self.iov.len() - self.start
    }

    /// Moves the other list's buffers to the end of this one.
    pub(crate) fn append(&mut self, other: &GuestIovec<'m>) {
        self.iov.extend_from_slice(other.rest());
        self.len = self.len.saturating_add(other.len);
    }

    /// Drops the first `count` bytes, or all if there are fewer.
    pub(crate) fn advance(&mut self, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        while let Some(buffer) = self.iov.get_mut(self.start) {
            if left < buffer.iov_len {
                buffer.iov_base = buffer.iov_base.cast::<u8>().wrapping_add(left).cast();
                buffer.iov_len -= left;
                return;
            }
            left -= buffer.iov_len;
            self.start += 1;
        }
    }

    /// Keeps at most the first `count` bytes.
    pub(crate) fn truncate(&mut self, count: usize) {
        if count >= self.len {
            return;
        }
        self.len = count;
        let mut left = count;
        for (index, buffer) in self.iov.iter_mut().enumerate().skip(self.start) {
            if left <= buffer.iov_len {
                buffer.iov_len = left;
                self.iov.truncate(index + usize::from(left > 0));
                return;
            }
            left -= buffer.iov_len;
        }
    }

    /// Copies guest bytes to `to`, from the start; returns how many. Does not advance.
    pub(crate) fn copy_to(&self, to: &mut [u8]) -> usize {
        let mut done = 0;
        for buffer in self.rest() {
            let count = buffer.iov_len.min(to.len() - done);
            // SAFETY: the iovec is a mapped guest range (see `push`) of at least `count` bytes, `to` has `count`
            // bytes after `done`, and guest memory never overlaps a host buffer.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    buffer.iov_base.cast::<u8>(),
                    to.as_mut_ptr().wrapping_add(done),
                    count,
                );
            }
            done += count;
        }
        done
    }

    /// Copies `from` into the guest buffers, from the start; returns how many bytes fit. Does not advance.
    pub(crate) fn copy_from(&self, from: &[u8]) -> usize {
        let mut done = 0;
        for buffer in self.rest() {
            let count = buffer.iov_len.min(from.len() - done);
            // SAFETY: as in `copy_to`, the other way round.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    from.as_ptr().wrapping_add(done),
                    buffer.iov_base.cast::<u8>(),
                    count,
                );
            }
            done += count;
        }
        done
    }

    /// sendmsg(2) from the guest buffers, non-blocking, without SIGPIPE.
    pub(crate) fn send(&self, socket: impl AsFd) -> io::Result<usize> {
        let message = self.message();
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: `message` points to iovecs that live in `self` and describe mapped guest ranges.
        let sent = unsafe { libc::sendmsg(fd, &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        length(sent)
    }

    /// recvmsg(2) into the guest buffers, non-blocking.
    pub(crate) fn receive(&self, socket: impl AsFd) -> io::Result<usize> {
        let mut message = self.message();
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: `message` points to iovecs that live in `self` and describe mapped guest ranges.
        let received = unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) };
        length(received)
    }

    /// readv(2) into the guest buffers and, where they end, into `spill`.
    pub(crate) fn read_from(&self, file: impl AsFd, spill: &mut [u8]) -> io::Result<usize> {
        let mut all = Vec::with_capacity(self.buffers() + 1);
        all.extend_from_slice(self.rest());
        all.push(libc::iovec { iov_base: spill.as_mut_ptr().cast(), iov_len: spill.len() });
        // SAFETY: the iovecs describe mapped guest ranges and `spill`, which is borrowed for the call.
        length(unsafe { libc::readv(file.as_fd().as_raw_fd(), all.as_ptr(), all.len() as libc::c_int) })
    }

    /// writev(2) of `first`, then the guest buffers.
    pub(crate) fn write_to(&self, file: impl AsFd, first: &[u8]) -> io::Result<usize> {
        let mut all = Vec::with_capacity(self.buffers() + 1);
        all.push(libc::iovec { iov_base: first.as_ptr().cast_mut().cast(), iov_len: first.len() });
        all.extend_from_slice(self.rest());
        // SAFETY: the iovecs describe `first`, which is only read, and mapped guest ranges.
        length(unsafe { libc::writev(file.as_fd().as_raw_fd(), all.as_ptr(), all.len() as libc::c_int) })
    }

    /// preadv(2) into the guest buffers at `offset` bytes.
    pub(crate) fn read_at(&self, file: impl AsFd, offset: i64) -> io::Result<usize> {
        let fd = file.as_fd().as_raw_fd();
        // SAFETY: as in `read_from`.
        length(unsafe { libc::preadv64(fd, self.rest().as_ptr(), self.count(), offset) })
    }

    /// pwritev(2) from the guest buffers at `offset` bytes.
    pub(crate) fn write_at(&self, file: impl AsFd, offset: i64) -> io::Result<usize> {
        let fd = file.as_fd().as_raw_fd();
        // SAFETY: as in `read_from`.
        length(unsafe { libc::pwritev64(fd, self.rest().as_ptr(), self.count(), offset) })
    }

    /// getrandom(2) into the guest buffers; returns the number of bytes filled.
    pub(crate) fn fill_random(&self) -> io::Result<usize> {
        let mut done = 0;
        for buffer in self.rest() {
            let mut filled = 0;
            while filled < buffer.iov_len {
                let to = buffer.iov_base.cast::<u8>().wrapping_add(filled);
                // SAFETY: `to` and the rest of the buffer lie in a mapped guest range (see `push`).
                match length(unsafe { libc::getrandom(to.cast(), buffer.iov_len - filled, 0) }) {
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            done += filled;
        }
        Ok(done)
    }

    /// Gives the whole pages in the buffers back to the host (MADV_DONTNEED); they read as zeroes afterwards.
    ///
    /// # Errors
    /// Those of madvise(2) for the first range that it refuses; the others are given back all the same.
    pub(crate) fn discard(&self) -> io::Result<()> {
        let mut result = Ok(());
        for buffer in self.rest() {
            let start = buffer.iov_base as usize;
            let first = start.next_multiple_of(PAGE);
            let end = (start + buffer.iov_len) / PAGE * PAGE;
            if first >= end {
                continue;
            }
            let from = buffer.iov_base.cast::<u8>().wrapping_add(first - start);
            // SAFETY: the pages lie in a mapped guest range (see `push`). Nothing of ours points into guest memory,
            // and the guest is free to lose its content.
            if unsafe { libc::madvise(from.cast(), end - first, libc::MADV_DONTNEED) } != 0 {
                result = Err(io::Error::last_os_error());
            }
        }
        result
    }

    fn rest(&self) -> &[libc::iovec] {
        self.iov.get(self.start..).unwrap_or_default()
    }

    fn count(&self) -> libc::c_int {
        // `append` may have joined lists; the rest goes out with the next call.
        self.buffers().min(MAX_BUFFERS) as libc::c_int
    }

    fn message(&self) -> libc::msghdr {
        // SAFETY: msghdr is plain data for which all zeroes is valid.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = self.rest().as_ptr().cast_mut();
        message.msg_iovlen = self.count() as usize;
        message
    }
}

fn length(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use vm_memory::Bytes;

    use super::*;

    fn memory() -> GuestRam {
        GuestRam::from_ranges(&[(GuestAddress(0), 0x1000), (GuestAddress(0x1000), 0x1000)]).unwrap()
    }

    fn iovec<'m>(memory: &'m GuestRam, ranges: &[(u64, u32)]) -> GuestIovec<'m> {
        let mut iov = GuestIovec::default();
        for &(address, len) in ranges {
            iov.push(memory, GuestAddress(address), len).unwrap();
        }
        iov
    }

    #[test]
    fn ranges_outside_guest_memory_are_refused() {
        let memory = memory();
        for (address, len) in [(0x2000, 1), (0x1fff, 2), (u64::MAX, 1), (u64::MAX - 4, 100), (0, u32::MAX)] {
            assert_eq!(GuestIovec::default().push(&memory, GuestAddress(address), len), Err(BadRange));
        }
    }

    #[test]
    fn a_range_over_two_regions_is_two_buffers() {
        let memory = memory();
        let iov = iovec(&memory, &[(0xff0, 0x20)]);
        assert_eq!((iov.len(), iov.buffers()), (0x20, 2));
        assert_eq!(iov.copy_from(&[7; 0x20]), 0x20);
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0x100f)).unwrap(), 7);
    }

    #[test]
    fn too_many_buffers_are_refused() {
        let memory = memory();
        let mut iov = GuestIovec::default();
        for _ in 0..MAX_BUFFERS {
            iov.push(&memory, GuestAddress(0), 1).unwrap();
        }
        assert_eq!(iov.push(&memory, GuestAddress(0), 1), Err(BadRange));
    }

    #[test]
    fn advance_and_truncate_cut_at_any_byte() {
        let memory = memory();
        memory.write_slice(b"0123456789", GuestAddress(0)).unwrap();
        for cut in 0..=10 {
            let mut iov = iovec(&memory, &[(0, 3), (3, 3), (6, 4)]);
            let mut head = iov.clone();
            iov.advance(cut);
            head.truncate(cut);
            let (mut left, mut right) = ([0; 10], [0; 10]);
            assert_eq!(head.copy_to(&mut left), cut);
            assert_eq!(iov.copy_to(&mut right), 10 - cut);
            assert_eq!([&left[..cut], &right[..10 - cut]].concat(), b"0123456789");
            assert_eq!((head.len(), iov.len()), (cut, 10 - cut));
        }
        let mut iov = iovec(&memory, &[(0, 3)]);
        iov.advance(100);
        assert!(iov.is_empty() && iov.buffers() == 0);
    }

    #[test]
    fn sockets_read_and_write_guest_memory() {
        let memory = memory();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"hello world").unwrap();
        let iov = iovec(&memory, &[(0x10, 5), (0x100, 10)]);
        assert_eq!(iov.receive(&ours).unwrap(), 11);
        assert_eq!(iov.receive(&ours).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut sent = iov.clone();
        sent.truncate(11);
        assert_eq!(sent.send(&ours).unwrap(), 11);
        let mut back = [0; 11];
        theirs.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello world");
    }
}

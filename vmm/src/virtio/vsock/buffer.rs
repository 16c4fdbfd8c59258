//! Bytes from the guest that the host has not taken yet.
//!
//! The connection's credit bounds the content; pieces are filled to the end, so the memory is bounded with it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd};

use crate::virtio::guest_iovec::GuestIovec;

const PIECE: usize = 32 * 1024;
/// Pieces that one system call writes.
const PIECES_PER_WRITE: usize = 16;

/// A first-in, first-out buffer of pieces.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that are gone already.
    taken: usize,
    len: usize,
}

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies all of `from` to the end.
    pub(super) fn push(&mut self, mut from: GuestIovec<'_>) {
        while !from.is_empty() {
            match self.pieces.back_mut() {
                Some(piece) if piece.len() < PIECE => {
                    let start = piece.len();
                    piece.resize(PIECE.min(start.saturating_add(from.len())), 0);
                    let copied = piece.get_mut(start..).map_or(0, |room| from.copy_to(room));
                    from.advance(copied);
                    self.len += copied;
                }
                _ => self.pieces.push_back(Vec::with_capacity(PIECE.min(from.len()))),
            }
        }
    }

    /// Writes what the socket takes; returns the number of bytes.
    ///
    /// # Errors
    /// Those of sendmsg(2); `WouldBlock` if the socket is full.
    pub(super) fn send(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let mut slices = Vec::with_capacity(PIECES_PER_WRITE);
        let mut skip = self.taken;
        for piece in self.pieces.iter().take(PIECES_PER_WRITE) {
            slices.push(IoSlice::new(piece.get(skip..).unwrap_or_default()));
            skip = 0;
        }
        // SAFETY: msghdr is plain data for which all zeroes is valid.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        // IoSlice has the layout of iovec (its documentation promises it).
        message.msg_iov = slices.as_mut_ptr().cast();
        message.msg_iovlen = slices.len();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `message` points to `slices`, which live until the end of this function.
        let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, flags) };
        let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
        self.consume(sent);
        Ok(sent)
    }

    fn consume(&mut self, count: usize) {
        self.len = self.len.saturating_sub(count);
        self.taken += count;
        while let Some(piece) = self.pieces.front() {
            if self.taken < piece.len() {
                return;
            }
            self.taken -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use vm_memory::{Bytes, GuestAddress};

    use super::*;
    use crate::virtio::device::GuestRam;

    #[test]
    fn bytes_come_out_in_order_and_small_ones_share_a_piece() {
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), 0x20000)]).unwrap();
        let content: Vec<u8> = (0..0x20000_u32).map(|i| (i % 251) as u8).collect();
        ram.write_slice(&content, GuestAddress(0)).unwrap();
        let mut buffer = Buffer::default();
        let mut at = 0;
        for len in [1, 1, 1, 70000, 5, 32768, 1] {
            let mut iov = GuestIovec::default();
            iov.push(&ram, GuestAddress(at), len).unwrap();
            buffer.push(iov);
            at += u64::from(len);
        }
        assert_eq!(buffer.len(), at as usize);
        assert_eq!(buffer.pieces.len(), (at as usize).div_ceil(PIECE));
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        while !buffer.is_empty() {
            buffer.send(&ours).unwrap();
        }
        drop(ours);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).unwrap();
        assert!(got == content[..at as usize]);
        assert!(buffer.pieces.is_empty());
    }

    #[test]
    fn a_full_socket_takes_a_part() {
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap();
        let mut buffer = Buffer::default();
        for _ in 0..32 {
            let mut iov = GuestIovec::default();
            iov.push(&ram, GuestAddress(0), 0x10000).unwrap();
            buffer.push(iov);
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut sent = 0;
        loop {
            match buffer.send(&ours) {
                Ok(count) => sent += count,
                Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert_eq!(sent + buffer.len(), 32 * 0x10000);
        assert!(sent > 0 && !buffer.is_empty());
        drop(theirs);
        assert_eq!(buffer.send(&ours).unwrap_err().raw_os_error(), Some(libc::EPIPE));
    }
}

//! The memory of one request or reply: pieces of guest memory, checked when the descriptor chain was walked.
//!
//! The guest may write to these bytes at any time, so nothing keeps a reference into them: fixed parts are
//! copied out once and looked at afterwards, data goes between guest memory and file by `preadv2`/`pwritev2`.

use std::marker::PhantomData;

use vm_memory::VolatileSlice;

/// Pieces of guest memory in order, addressed as one run of bytes.
#[derive(Debug, Default)]
pub(crate) struct Buffers<'m> {
    slices: Vec<VolatileSlice<'m>>,
    len: usize,
}

impl<'m> Buffers<'m> {
    pub(crate) fn push(&mut self, slice: VolatileSlice<'m>) {
        self.len = self.len.saturating_add(slice.len());
        self.slices.push(slice);
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies out `data.len()` bytes from `offset` on; false if there are not as many.
    #[must_use]
    pub(crate) fn read_at(&self, offset: usize, data: &mut [u8]) -> bool {
        let mut done = 0;
        for part in self.parts(offset, data.len()) {
            let Some(rest) = data.get_mut(done..) else { return false };
            done += part.copy_to(rest);
        }
        done == data.len()
    }

    /// Copies `data` in at `offset`; false if it does not fit.
    #[must_use]
    pub(crate) fn write_at(&self, offset: usize, data: &[u8]) -> bool {
        if offset.checked_add(data.len()).is_none_or(|end| end > self.len) {
            return false;
        }
        let mut done = 0;
        for part in self.parts(offset, data.len()) {
            let Some(rest) = data.get(done..) else { return false };
            part.copy_from(rest);
            done += part.len();
        }
        done == data.len()
    }

    /// At most `len` bytes from `offset` on, as the kernel takes them.
    pub(crate) fn io_vectors(&self, offset: usize, len: usize) -> IoVectors<'m> {
        let vectors = self
            .parts(offset, len)
            .map(|part| libc::iovec { iov_base: part.ptr_guard_mut().as_ptr().cast(), iov_len: part.len() })
            .collect();
        IoVectors { vectors, first: 0, memory: PhantomData }
    }

    fn parts(&self, offset: usize, len: usize) -> impl Iterator<Item = VolatileSlice<'m>> {
        let (mut skip, mut left) = (offset, len);
        self.slices.iter().filter_map(move |slice| {
            let from = skip.min(slice.len());
            skip -= from;
            let take = (slice.len() - from).min(left);
            left -= take;
            if take == 0 { None } else { slice.subslice(from, take).ok() }
        })
    }
}

/// An `iovec` array over guest memory that outlives it.
#[derive(Debug)]
pub(crate) struct IoVectors<'m> {
    vectors: Vec<libc::iovec>,
    /// Index of the first vector that is not used up.
    first: usize,
    memory: PhantomData<VolatileSlice<'m>>,
}

impl IoVectors<'_> {
    /// What is left, at most `IOV_MAX` pieces.
    pub(crate) fn remaining(&self) -> &[libc::iovec] {
        let rest = self.vectors.get(self.first..).unwrap_or_default();
        rest.get(..libc::UIO_MAXIOV as usize).unwrap_or(rest)
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.iter().skip(self.first).map(|vector| vector.iov_len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.vectors.len() <= self.first
    }

    /// Drops the first `count` bytes.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while let Some(vector) = self.vectors.get_mut(self.first) {
            if count < vector.iov_len {
                vector.iov_base = vector.iov_base.wrapping_byte_add(count);
                vector.iov_len -= count;
                return;
            }
            count -= vector.iov_len;
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(pieces: &mut [Vec<u8>]) -> Buffers<'_> {
        let mut buffers = Buffers::default();
        for piece in pieces {
            buffers.push(VolatileSlice::from(piece.as_mut_slice()));
        }
        buffers
    }

    #[test]
    fn copies_cross_the_seams() {
        let mut pieces = [b"ab".to_vec(), b"".to_vec(), b"cde".to_vec(), b"f".to_vec()];
        let buffers = over(&mut pieces);
        assert_eq!(buffers.len(), 6);
        let mut out = [0; 4];
        assert!(buffers.read_at(1, &mut out));
        assert_eq!(&out, b"bcde");
        assert!(!buffers.read_at(3, &mut out));
        assert!(buffers.write_at(1, b"XYZ"));
        assert!(!buffers.write_at(4, b"123"));
        assert!(!buffers.write_at(usize::MAX, b"1"));
        assert_eq!(pieces.concat(), b"aXYZef");
    }

    #[test]
    fn vectors_shrink_from_the_front() {
        let mut pieces = [b"ab".to_vec(), b"cde".to_vec()];
        let buffers = over(&mut pieces);
        let mut vectors = buffers.io_vectors(1, 3);
        assert_eq!((vectors.len(), vectors.remaining().len()), (3, 2));
        vectors.advance(2);
        assert_eq!((vectors.len(), vectors.remaining().len()), (1, 1));
        vectors.advance(100);
        assert!(vectors.is_empty());
        assert_eq!(vectors.remaining().len(), 0);
    }
}

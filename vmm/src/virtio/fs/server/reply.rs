//! Writes one reply into guest memory.

use rustix::io::Errno;
use zerocopy::{Immutable, IntoBytes};

use super::{Outcome, wire};
use crate::virtio::fs::buffers::Buffers;
use crate::virtio::fs::filesystem::FsResult;
use crate::virtio::fs::protocol::OutHeader;
use crate::virtio::fs::protocol::header::OUT_HEADER_LEN;

/// The writable part of a chain and the number of the request it answers.
///
/// A guest that leaves no room for the answer gets EIO if the header fits, else nothing.
#[derive(Debug)]
pub(super) struct Reply<'a, 'm> {
    output: &'a Buffers<'m>,
    unique: u64,
}

/// A fixed structure or several in a row.
pub(super) trait Payload {
    fn parts(&self) -> [&[u8]; 2];
}

impl<T: IntoBytes + Immutable> Payload for T {
    fn parts(&self) -> [&[u8]; 2] {
        [wire(self), &[]]
    }
}

/// Two structures, as CREATE answers.
#[derive(Debug)]
pub(super) struct Pair<A, B>(pub A, pub B);

impl<A: IntoBytes + Immutable, B: IntoBytes + Immutable> Payload for Pair<A, B> {
    fn parts(&self) -> [&[u8]; 2] {
        [wire(&self.0), wire(&self.1)]
    }
}

impl<'a, 'm> Reply<'a, 'm> {
    pub(super) fn new(output: &'a Buffers<'m>, unique: u64) -> Self {
        Self { output, unique }
    }

    pub(super) fn output(&self) -> &'a Buffers<'m> {
        self.output
    }

    /// Room behind the header in bytes.
    pub(super) fn room(&self) -> usize {
        self.output.len().saturating_sub(OUT_HEADER_LEN)
    }

    pub(super) fn ok(&self) -> Outcome {
        self.sized(0)
    }

    pub(super) fn error(&self, errno: Errno) -> Outcome {
        self.header(-errno.raw_os_error(), 0)
    }

    /// `len` bytes of payload are in place already.
    pub(super) fn sized(&self, len: usize) -> Outcome {
        self.header(0, len)
    }

    pub(super) fn finish<T: Payload>(&self, result: FsResult<T>) -> Outcome {
        match result {
            Ok(value) => self.payload(&value.parts()),
            Err(errno) => self.error(errno),
        }
    }

    pub(super) fn finish_empty(&self, result: FsResult<()>) -> Outcome {
        match result {
            Ok(()) => self.ok(),
            Err(errno) => self.error(errno),
        }
    }

    pub(super) fn finish_bytes(&self, result: FsResult<Vec<u8>>) -> Outcome {
        match result {
            Ok(bytes) => self.payload(&[&bytes]),
            Err(errno) => self.error(errno),
        }
    }

    pub(super) fn payload(&self, parts: &[&[u8]]) -> Outcome {
        let mut at = OUT_HEADER_LEN;
        for part in parts {
            if !self.output.write_at(at, part) {
                return self.error(Errno::IO);
            }
            at += part.len();
        }
        self.sized(at - OUT_HEADER_LEN)
    }

    fn header(&self, error: i32, payload: usize) -> Outcome {
        let len = (OUT_HEADER_LEN + payload) as u32;
        let header = OutHeader { len, error, unique: self.unique };
        Outcome::Done(if self.output.write_at(0, wire(&header)) { len } else { 0 })
    }
}

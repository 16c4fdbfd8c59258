//! Builds the reply of READDIR and READDIRPLUS.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::attr::EntryOut;

/// `struct fuse_dirent` without the name.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct DirentHeader {
    ino: u64,
    off: u64,
    namelen: u32,
    kind: u32,
}

/// One entry of a directory, as the host lists it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirEntry<'a> {
    pub ino: u64,
    /// The position after this entry.
    pub offset: u64,
    /// `DT_*`.
    pub kind: u8,
    pub name: &'a [u8],
}

/// A reply of bounded size that takes whole entries only.
#[derive(Debug)]
pub(crate) struct DirentBuffer {
    bytes: Vec<u8>,
    limit: usize,
}

/// The largest directory reply, in bytes; a guest that asks for more gets less.
const MAX_REPLY: usize = 128 * 1024;

impl DirentBuffer {
    /// `limit` in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(MAX_REPLY);
        Self { bytes: Vec::with_capacity(limit.min(4096)), limit }
    }

    /// Whether an entry with a name of this length still fits.
    pub(crate) fn has_room(&self, name_len: usize, plus: bool) -> bool {
        let entry = if plus { size_of::<EntryOut>() } else { 0 };
        self.bytes.len() + entry + padded(name_len) <= self.limit
    }

    /// Appends an entry; false, and nothing appended, if it does not fit.
    #[must_use]
    pub(crate) fn push(&mut self, entry: &DirEntry<'_>, plus: Option<&EntryOut>) -> bool {
        if !self.has_room(entry.name.len(), plus.is_some()) {
            return false;
        }
        if let Some(plus) = plus {
            self.bytes.extend_from_slice(plus.as_bytes());
        }
        let header = DirentHeader {
            ino: entry.ino,
            off: entry.offset,
            namelen: entry.name.len() as u32,
            kind: u32::from(entry.kind),
        };
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(entry.name);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn padded(name_len: usize) -> usize {
    (size_of::<DirentHeader>() + name_len).next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: DirEntry<'static> = DirEntry { ino: 5, offset: 9, kind: 8, name: b"abc" };

    #[test]
    fn entries_are_padded_and_bounded() {
        let mut buffer = DirentBuffer::new(64);
        assert!(buffer.push(&ENTRY, None));
        assert_eq!(buffer.as_bytes().len(), 32);
        assert_eq!(&buffer.as_bytes()[16..28], b"\x03\0\0\0\x08\0\0\0abc\0");
        assert!(buffer.push(&ENTRY, None));
        assert!(!buffer.push(&ENTRY, None));
        assert_eq!(buffer.as_bytes().len(), 64);
    }

    #[test]
    fn plus_entries_carry_their_attributes_first() {
        let mut buffer = DirentBuffer::new(200);
        let plus = EntryOut { nodeid: 0x1122, ..EntryOut::default() };
        assert!(buffer.push(&ENTRY, Some(&plus)));
        assert_eq!(buffer.as_bytes().len(), 128 + 32);
        assert_eq!(buffer.as_bytes()[..2], [0x22, 0x11]);
        assert!(!buffer.push(&ENTRY, Some(&plus)));
    }
}

//! The reading position of an open directory.

use std::os::fd::BorrowedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::virtio::fs::filesystem::FsResult;
use crate::virtio::fs::protocol::dirent::DirEntry;
use crate::virtio::fs::sys;

/// Bytes of directory entries fetched from the host at once.
const CHUNK: usize = 16 * 1024;
/// Offset of the name in `struct linux_dirent64`.
const NAME_AT: usize = 19;

/// Entries that the host has listed and the guest has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct DirStream {
    chunk: Vec<u8>,
    /// Where in `chunk` the next entry begins.
    at: usize,
    /// The directory position that `at` stands for.
    offset: u64,
}

impl DirStream {
    /// Makes the entry after position `offset` the next one.
    pub(crate) fn seek(&mut self, dir: BorrowedFd<'_>, offset: u64) -> FsResult<()> {
        if offset == self.offset {
            return Ok(());
        }
        // Positions are opaque; some file systems use all of a signed 64 bit number.
        rustix::fs::seek(dir, SeekFrom::Start(offset))
            .map_err(|errno| if errno == Errno::OVERFLOW { Errno::INVAL } else { errno })?;
        self.chunk = Vec::new();
        self.at = 0;
        self.offset = offset;
        Ok(())
    }

    /// The next entry, without taking it; None at the end.
    pub(crate) fn peek(&mut self, dir: BorrowedFd<'_>) -> FsResult<Option<DirEntry<'_>>> {
        if self.at >= self.chunk.len() {
            self.chunk.resize(CHUNK, 0);
            self.at = 0;
            let filled = sys::read_directory(dir, &mut self.chunk);
            self.chunk.truncate(*filled.as_ref().unwrap_or(&0));
            if filled? == 0 {
                // A directory that was read to its end holds no memory.
                self.chunk = Vec::new();
                return Ok(None);
            }
        }
        parse(self.chunk.get(self.at..).unwrap_or_default()).map(|(entry, _)| Some(entry)).ok_or(Errno::IO)
    }

    /// Takes the entry that was peeked at.
    pub(crate) fn take(&mut self) {
        if let Some((offset, len)) = self.chunk.get(self.at..).and_then(parse).map(|(e, len)| (e.offset, len))
        {
            self.offset = offset;
            self.at += len;
        }
    }
}

/// The first `struct linux_dirent64` and its length.
fn parse(bytes: &[u8]) -> Option<(DirEntry<'_>, usize)> {
    let ino = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
    let offset = u64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?);
    let len = usize::from(u16::from_ne_bytes(bytes.get(16..18)?.try_into().ok()?));
    let kind = *bytes.get(18)?;
    let name = bytes.get(NAME_AT..len)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    Some((DirEntry { ino, offset, kind, name: name.get(..end)? }, len))
}

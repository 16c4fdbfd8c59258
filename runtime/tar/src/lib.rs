//! Tar streams: a reader for hostile input, and a writer.
//!
//! The reader differs from the `tar` crate's in that every length is bounded before anything is allocated for it: a long name
//! or an extended header of gigabytes is an error here, not memory. Headers count against a limit, so an archive of
//! nothing but headers ends too.

mod data;
mod header;
pub mod metadata;
mod pax;
mod sparse;
mod writer;

use std::io::{self, BufRead};

pub use self::data::{DataError, write_data};

use self::header::{BLOCK, Block, Header};
use self::pax::Records;
pub use self::sparse::Piece;
use self::sparse::{Map, TextMap};
pub use self::writer::TarWriter;

/// The kernel's limit on a path (`PATH_MAX`), its terminator not included.
const PATH: usize = 4095;
/// Bytes of one extended header, as in Go's archive/tar.
const EXTENDED: u64 = 1 << 20;

/// What is wrong with the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed(&'static str);

/// Why there is no next entry.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("it is not a valid tar archive: {0}")]
    Malformed(&'static str),
    #[error("it has more entries than are allowed")]
    TooManyHeaders,
    #[error("read it: {0}")]
    Read(io::Error),
}

impl From<Malformed> for TarError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Malformed("it is truncated"),
            _ => Self::Read(error),
        }
    }
}

/// Names and values of extended attributes.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The kinds of entry that a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry; its data is next in the reader.
#[derive(Clone, Debug)]
pub struct Entry {
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Target of a link.
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: (i64, u32),
    pub device: (u32, u32),
    pub xattrs: Xattrs,
    /// Bytes of the file.
    pub size: u64,
    /// Where the data goes; `None` if it is the whole file.
    pub sparse: Option<Vec<Piece>>,
}

/// Reads entries from `inner`.
#[derive(Debug)]
pub struct TarReader<R> {
    inner: R,
    /// Data of the current entry that was not read yet, and the padding behind it.
    data: u64,
    padding: u64,
    headers: u64,
    limit: u64,
}

impl<R: BufRead> TarReader<R> {
    /// At most `limit` headers are accepted.
    pub fn new(inner: R, limit: u64) -> Self {
        Self { inner, data: 0, padding: 0, headers: 0, limit }
    }

    /// The next entry, or `None` at the end of the archive. Unread data of the last one is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let (mut records, mut long_path, mut long_link) = (Records::default(), None, None);
        loop {
            self.skip(self.data.saturating_add(self.padding))?;
            (self.data, self.padding) = (0, 0);
            let Some(block) = self.header_block()? else { return Ok(None) };
            let header = Header::parse(&block)?;
            match header.kind {
                b'x' => records.parse(&self.extended(header.size, EXTENDED)?)?,
                // Global records: Docker and containerd ignore them.
                b'g' => drop(self.extended(header.size, EXTENDED)?),
                b'L' => long_path = Some(self.long_name(header.size)?),
                b'K' => long_link = Some(self.long_name(header.size)?),
                _ => return self.entry(&block, header, records, long_path, long_link).map(Some),
            }
        }
    }

    /// The data of the current entry that was not read yet. Empty means it is over.
    pub fn data(&mut self) -> Result<&[u8], TarError> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let available = self.inner.fill_buf()?;
        if available.is_empty() {
            return Err(TarError::Malformed("it is truncated"));
        }
        let count = usize::try_from(self.data).unwrap_or(usize::MAX).min(available.len());
        Ok(available.get(..count).unwrap_or_default())
    }

    /// Marks `count` bytes of [`TarReader::data`] as read.
    pub fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.data = self.data.saturating_sub(count as u64);
    }

    /// What follows the archive's end.
    pub fn into_inner(self) -> R {
        self.inner
    }

    fn entry(
        &mut self,
        block: &Block,
        header: Header,
        records: Records,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, TarError> {
        let sparse = records.sparse;
        let path = sparse.name.or(records.path).or(long_path).unwrap_or(header.path);
        let link = records.link.or(long_link).unwrap_or(header.link);
        if path.len() > PATH || link.len() > PATH {
            return Err(TarError::Malformed("a path is longer than 4095 bytes"));
        }
        let kind = match header.kind {
            // Before POSIX, a directory was a file with a slash at the end of its name.
            b'0' | 0 if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharacterDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => return Err(TarError::Malformed("it has an entry of unknown type")),
        };
        // As in Go: only files have data, whatever the size field of others says.
        let stored = if kind == Kind::File { records.size.unwrap_or(header.size) } else { 0 };
        if stored > i64::MAX as u64 {
            return Err(TarError::Malformed("a size is out of range"));
        }
        self.data = stored;
        self.padding = stored.next_multiple_of(BLOCK as u64) - stored;
        let (mut size, mut pieces) = (stored, None);
        if header.kind == b'S' && header.gnu {
            let mut map = Map::default();
            let mut more = map.add_gnu(block, false)?;
            while more {
                more = map.add_gnu(&self.counted_block()?, true)?;
            }
            size = u64::try_from(header::number(header::field(block, 483, 12))?)
                .map_err(|_| Malformed("a size is negative"))?;
            pieces = Some(map.finish(size, stored)?);
        } else if kind == Kind::File && (sparse.major.is_some() || !sparse.map.is_empty()) {
            size = sparse.real_size.ok_or(Malformed("a sparse file has no size"))?;
            let numbers = if sparse.major == Some(1) { self.text_map()? } else { sparse.map };
            pieces = Some(Map::from_numbers(&numbers)?.finish(size, self.data)?);
        }
        Ok(Entry {
            path,
            kind,
            link,
            mode: header.mode,
            uid: records.uid.unwrap_or(header.uid),
            gid: records.gid.unwrap_or(header.gid),
            mtime: records.mtime.unwrap_or((header.mtime, 0)),
            device: header.device,
            xattrs: records.xattrs,
            size,
            sparse: pieces,
        })
    }

    /// The map in front of the data of sparse format 1.0, which counts as data.
    fn text_map(&mut self) -> Result<Vec<u64>, TarError> {
        let mut map = TextMap::default();
        loop {
            let rest = self.data.checked_sub(BLOCK as u64).ok_or(Malformed("a sparse map is truncated"))?;
            let block = self.block()?;
            self.data = rest;
            if let Some(numbers) = map.add(&block)? {
                return Ok(numbers);
            }
        }
    }

    /// The next header; `None` at the end, which is two blocks of zeros or the end of the stream.
    fn header_block(&mut self) -> Result<Option<Block>, TarError> {
        if self.inner.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let block = self.counted_block()?;
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        if self.inner.fill_buf()?.is_empty() || self.block()? == [0; BLOCK] {
            return Ok(None);
        }
        Err(TarError::Malformed("a block of zeros stands between its entries"))
    }

    fn counted_block(&mut self) -> Result<Block, TarError> {
        self.headers += 1;
        if self.headers > self.limit {
            return Err(TarError::TooManyHeaders);
        }
        self.block()
    }

    fn block(&mut self) -> Result<Block, TarError> {
        let mut block = [0; BLOCK];
        self.inner.read_exact(&mut block)?;
        Ok(block)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        // The terminator counts here.
        let mut name = self.extended(size, PATH as u64 + 1)?;
        if let Some(end) = name.iter().position(|byte| *byte == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    /// The data of a header that describes another entry.
    fn extended(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, TarError> {
        if size > limit {
            return Err(TarError::Malformed("a long name or extended header is too long"));
        }
        let mut data = vec![0; size as usize];
        self.inner.read_exact(&mut data)?;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(data)
    }

    fn skip(&mut self, mut count: u64) -> Result<(), TarError> {
        while count > 0 {
            let available = self.inner.fill_buf()?.len();
            if available == 0 {
                return Err(TarError::Malformed("it is truncated"));
            }
            let step = usize::try_from(count).unwrap_or(usize::MAX).min(available);
            self.inner.consume(step);
            count -= step as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

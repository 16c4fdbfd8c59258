//! A tar that is the same for the same content: members in the order given, owned by root, dated 1970.

use std::io::{Read, Write};

use crate::{Error, Result};

const BUFFER: usize = 256 << 10;
const BLOCK: u64 = 512;

/// Writes a tar.
pub(super) struct Archive<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Archive<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    pub(super) fn directory(&mut self, path: &str) -> Result<()> {
        self.header(&format!("{path}/"), tar::EntryType::Directory, 0o755, 0)
    }

    pub(super) fn bytes(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.file(path, bytes.len() as u64, &mut &*bytes)
    }

    /// Adds a file of exactly `size` bytes.
    pub(super) fn file(&mut self, path: &str, size: u64, content: &mut dyn Read) -> Result<()> {
        self.header(path, tar::EntryType::Regular, 0o644, size)?;
        let mut buffer = vec![0; BUFFER];
        let mut written: u64 = 0;
        loop {
            let count = match content.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::SaveRead { path: path.to_owned(), source: error }),
            };
            written += count as u64;
            if written > size || count == 0 && written < size {
                let what = path.to_owned();
                return Err(Error::SizeMismatch { what, expected: size, actual: written });
            }
            if count == 0 {
                break;
            }
            self.write(buffer.get(..count).unwrap_or_default())?;
        }
        let padding = size.next_multiple_of(BLOCK) - size;
        self.write(&vec![0; padding as usize])
    }

    /// Writes the end of the archive.
    pub(super) fn finish(self) -> Result<()> {
        self.out.write_all(&[0; 2 * BLOCK as usize]).and_then(|()| self.out.flush()).map_err(Error::Write)
    }

    fn header(&mut self, path: &str, kind: tar::EntryType, mode: u32, size: u64) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(path).map_err(Error::Write)?;
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::Write)
    }
}

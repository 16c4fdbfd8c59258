//! A writer of `newc` cpio archives, the format of the kernel's initramfs
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Every field that could vary (inode numbers, times, owners) is fixed by order or zero, so that equal
//! input gives equal bytes. Names are relative; parents must be written before their children, because
//! the kernel makes no directories of its own.

use std::io::{self, Write};

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFCHR: u32 = 0o020_000;
/// The kernel's limit on a name, its terminator included (`PATH_MAX`).
const NAME_MAX: usize = 4096;

/// Writes one archive; [`CpioWriter::finish`] ends it.
#[derive(Debug)]
pub struct CpioWriter<W> {
    out: W,
    written: u64,
    inode: u32,
}

impl<W: Write> CpioWriter<W> {
    /// An archive that goes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, written: 0, inode: 0 }
    }

    /// A directory with the permission bits of `mode`.
    pub fn directory(&mut self, name: &str, mode: u32) -> io::Result<()> {
        self.entry(name, S_IFDIR | (mode & 0o7777), 2, (0, 0), &[])
    }

    /// A regular file with the permission bits of `mode`.
    pub fn file(&mut self, name: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        self.entry(name, S_IFREG | (mode & 0o7777), 1, (0, 0), data)
    }

    /// A character device with the permission bits of `mode`.
    pub fn character_device(&mut self, name: &str, mode: u32, major: u32, minor: u32) -> io::Result<()> {
        self.entry(name, S_IFCHR | (mode & 0o7777), 1, (major, minor), &[])
    }

    /// Writes the trailer and fills up the last 512-byte block.
    ///
    /// # Errors
    /// Those of the underlying writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.header("TRAILER!!!", 0, 0, 1, (0, 0), 0)?;
        self.pad(512)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(
        &mut self,
        name: &str,
        mode: u32,
        links: u32,
        device: (u32, u32),
        data: &[u8],
    ) -> io::Result<()> {
        let invalid = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if name.is_empty() || name.starts_with('/') || name.contains('\0') || name.len() >= NAME_MAX {
            return invalid("the name must be relative, without NUL and shorter than 4096 bytes");
        }
        let Ok(size) = u32::try_from(data.len()) else {
            return invalid("the file is larger than 4 GiB");
        };
        self.inode += 1;
        self.header(name, self.inode, mode, links, device, size)?;
        self.put(data)?;
        self.pad(4)
    }

    fn header(
        &mut self,
        name: &str,
        inode: u32,
        mode: u32,
        links: u32,
        (major, minor): (u32, u32),
        size: u32,
    ) -> io::Result<()> {
        let name_size = name.len() as u32 + 1;
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
        let mut header = String::from("070701");
        for field in fields {
            use std::fmt::Write as _;
            let _ = write!(header, "{field:08X}");
        }
        self.put(header.as_bytes())?;
        self.put(name.as_bytes())?;
        self.put(b"\0")?;
        self.pad(4)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, alignment: u64) -> io::Result<()> {
        let missing = self.written.next_multiple_of(alignment) - self.written;
        let zeros = [0u8; 512];
        self.put(&zeros[..missing as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_the_bytes_of_the_format() {
        let mut cpio = CpioWriter::new(Vec::new());
        cpio.file("abc", 0o755, b"hello").unwrap();
        let bytes = cpio.finish().unwrap();
        let header = b"070701\
            00000001000081ED00000000000000000000000100000000\
            000000050000000000000000000000000000000000000004\
            00000000abc\0\0\0hello\0\0\0";
        assert_eq!(&bytes[..header.len()], &header[..]);
        // "abc\0" after 110 bytes ends at 114, padded to 116; "hello" to 124.
        assert_eq!(&bytes[124..130], b"070701");
        assert_eq!(&bytes[124 + 110..124 + 120], b"TRAILER!!!");
        assert_eq!(bytes.len() % 512, 0);
    }

    #[test]
    fn refuses_names_the_kernel_would_misread() {
        let mut cpio = CpioWriter::new(Vec::new());
        for name in ["", "/init", "a\0b", &"x".repeat(4096)] {
            assert!(cpio.directory(name, 0o755).is_err(), "{name:?}");
        }
    }
}

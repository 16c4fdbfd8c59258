//! The writer: POSIX ustar headers, and extended ones (pax) for what those have no room for.
//!
//! What is written depends on the entries alone, so that equal trees give equal archives.

use std::io::{self, Read, Write};

use super::header::{BLOCK, Block};
use super::{Entry, Kind};

const BUFFER: usize = 64 << 10;
/// What fits into a header's fields: 7 and 11 octal digits.
const SMALL: u64 = 0o7_777_777;
const LARGE: u64 = 0o77_777_777_777;
/// Bytes of a name in a header.
const NAME: usize = 100;

/// Writes a tar to `inner`.
#[derive(Debug)]
pub struct TarWriter<W> {
    inner: W,
    /// Bytes without extended headers.
    plain: u64,
}

impl<W: Write> TarWriter<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, plain: 0 }
    }

    /// Adds an entry without data.
    ///
    /// # Errors
    /// Of writing.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.headers(entry, 0)
    }

    /// Adds a file of exactly `entry.size` bytes: what `content` has too much is left out, what it has too little are
    /// zeros, because a file may change while it is read.
    ///
    /// # Errors
    /// Of writing and of reading.
    pub fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        self.headers(entry, entry.size)?;
        let mut left = entry.size;
        let mut buffer = vec![0; BUFFER];
        let mut ended = false;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let part = buffer.get_mut(..most).unwrap_or_default();
            let count = if ended {
                part.fill(0);
                most
            } else {
                match content.read(part) {
                    Ok(0) => {
                        ended = true;
                        continue;
                    }
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                }
            };
            self.inner.write_all(buffer.get(..count).unwrap_or_default())?;
            left -= count as u64;
        }
        self.pad(entry.size)
    }

    /// How long the archive would be if plain headers could say everything: what a user is told was copied. It is known
    /// at once to have its end.
    pub fn plain_size(&self) -> u64 {
        self.plain + 2 * BLOCK as u64
    }

    /// Writes the end of the archive and gives back what was written to.
    ///
    /// # Errors
    /// Of writing.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn headers(&mut self, entry: &Entry, size: u64) -> io::Result<()> {
        self.plain += BLOCK as u64 + size.next_multiple_of(BLOCK as u64);
        let records = records(entry, size);
        if !records.is_empty() {
            let path = extended_path(&entry.path);
            let plain = Entry {
                path,
                link: Vec::new(),
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: (0, 0),
                device: (0, 0),
                ..entry.clone()
            };
            self.inner.write_all(&header(&plain, b'x', records.len() as u64))?;
            self.inner.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.inner.write_all(&header(entry, flag(entry.kind), size))
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.inner.write_all([0; BLOCK].get(..padding as usize).unwrap_or_default())
    }
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharacterDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// Where those that do not know extended headers would put one, as in Go.
fn extended_path(path: &[u8]) -> Vec<u8> {
    let base = path.split(|byte| *byte == b'/').rfind(|name| !name.is_empty()).unwrap_or_default();
    let mut path = b"PaxHeaders.0/".to_vec();
    path.extend_from_slice(base.get(..base.len().min(NAME - path.len())).unwrap_or_default());
    path
}

fn header(entry: &Entry, flag: u8, size: u64) -> Block {
    let mut block = [0; BLOCK];
    let mut put = |offset: usize, bytes: &[u8]| {
        for (to, from) in block.iter_mut().skip(offset).zip(bytes) {
            *to = *from;
        }
    };
    let short = |text: &[u8]| text.get(..text.len().min(NAME)).unwrap_or_default().to_vec();
    let small = |value: u64| format!("{:07o}\0", if value > SMALL { 0 } else { value });
    let large = |value: u64| format!("{:011o}\0", if value > LARGE { 0 } else { value });
    put(0, &short(&entry.path));
    put(100, small(u64::from(entry.mode & 0o7777)).as_bytes());
    put(108, small(entry.uid).as_bytes());
    put(116, small(entry.gid).as_bytes());
    put(124, large(size).as_bytes());
    put(136, large(u64::try_from(entry.mtime.0).unwrap_or(0)).as_bytes());
    put(148, b"        ");
    put(156, &[flag]);
    put(157, &short(&entry.link));
    put(257, b"ustar\x0000");
    put(329, small(entry.device.0.into()).as_bytes());
    put(337, small(entry.device.1.into()).as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (to, from) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *to = from;
    }
    block
}

/// The extended header's content: what the plain one cannot say.
fn records(entry: &Entry, size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        // The length counts its own digits.
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        records.extend_from_slice(length.to_string().as_bytes());
        for part in [&b" "[..], key, b"=", value, b"\n"] {
            records.extend_from_slice(part);
        }
    };
    if entry.path.len() > NAME {
        add(b"path", &entry.path);
    }
    if entry.link.len() > NAME {
        add(b"linkpath", &entry.link);
    }
    for (key, value, most) in [("size", size, LARGE), ("uid", entry.uid, SMALL), ("gid", entry.gid, SMALL)] {
        if value > most {
            add(key.as_bytes(), value.to_string().as_bytes());
        }
    }
    let (seconds, nanoseconds) = entry.mtime;
    if nanoseconds != 0 || u64::try_from(seconds).map_or(true, |seconds| seconds > LARGE) {
        add(b"mtime", time(seconds, nanoseconds).as_bytes());
    }
    for (name, value) in &entry.xattrs {
        add(&[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    records
}

/// `[-]seconds[.fraction]`
fn time(seconds: i64, nanoseconds: u32) -> String {
    let (sign, seconds, nanoseconds) = match (seconds, nanoseconds) {
        (..0, 0) => ("-", seconds.unsigned_abs(), 0),
        (..0, _) => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
        _ => ("", seconds.unsigned_abs(), nanoseconds),
    };
    match nanoseconds {
        0 => format!("{sign}{seconds}"),
        _ => format!("{sign}{seconds}.{nanoseconds:09}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TarReader;

    fn entry(path: &[u8]) -> Entry {
        Entry {
            path: path.to_vec(),
            kind: Kind::File,
            link: Vec::new(),
            mode: 0o4755,
            uid: 1000,
            gid: 100,
            mtime: (1_700_000_000, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            size: 0,
            sparse: None,
        }
    }

    fn read_back(archive: &[u8]) -> Vec<(Entry, Vec<u8>)> {
        let mut reader = TarReader::new(archive, 100);
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let mut data = Vec::new();
            loop {
                let part = reader.data().unwrap().to_vec();
                if part.is_empty() {
                    break;
                }
                reader.consume(part.len());
                data.extend(part);
            }
            found.push((entry, data));
        }
        found
    }

    #[test]
    fn what_is_written_is_read_back() {
        let entries = [
            entry(b"plain"),
            Entry { path: b"d/".repeat(120), kind: Kind::Directory, ..entry(b"") },
            Entry { link: vec![b'l'; 300], kind: Kind::Symlink, ..entry(b"link") },
            Entry { device: (1, 3), kind: Kind::CharacterDevice, ..entry(b"null") },
            Entry { uid: 4_294_967_294, gid: 3_000_000, mtime: (-2, 500_000_000), ..entry(b"\xff\xfe") },
            Entry { mtime: (5, 1), xattrs: vec![(b"user.a".to_vec(), b"x\n\0=y".to_vec())], ..entry(b"x") },
        ];
        let mut writer = TarWriter::new(Vec::new());
        for entry in &entries {
            writer.entry(entry).unwrap();
        }
        let found = read_back(&writer.finish().unwrap());
        assert_eq!(found.len(), entries.len());
        for ((found, _), expected) in found.iter().zip(&entries) {
            assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn a_file_that_changes_size_keeps_its_announced_one() {
        let mut writer = TarWriter::new(Vec::new());
        for content in [&b"12345678"[..], b"12345", b"123"] {
            writer.file(&Entry { size: 5, ..entry(b"f") }, &mut &*content).unwrap();
        }
        let archive = writer.finish().unwrap();
        let data: Vec<_> = read_back(&archive).into_iter().map(|(_, data)| data).collect();
        assert_eq!(data, [b"12345", b"12345", b"123\0\0"]);
        assert_eq!(archive.len() % BLOCK, 0);
    }

    #[test]
    fn times() {
        assert_eq!(time(-2, 500_000_000), "-1.5");
        assert_eq!(time(-2, 0), "-2");
        assert_eq!(time(-1, 999_999_999), "-0.000000001");
        assert_eq!(time(12, 1500), "12.0000015");
    }

    #[test]
    fn gnu_tar_reads_it() {
        let mut writer = TarWriter::new(Vec::new());
        let long = [&b"n".repeat(90)[..], b"/", &b"m".repeat(90)].concat();
        writer.file(&Entry { size: 2, ..entry(&long) }, &mut &b"hi"[..]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        std::fs::write(&path, writer.finish().unwrap()).unwrap();
        let output = std::process::Command::new("tar").arg("tf").arg(&path).output().unwrap();
        assert_eq!(output.stdout, [&long[..], b"\n"].concat());
    }
}

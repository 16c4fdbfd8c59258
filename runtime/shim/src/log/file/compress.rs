//! Compressing older files, a slice at a time: as much as the container's own output pays for, so that nothing has to wait
//! for it and it never falls behind.
//!
//! The compressed file gets its name when it is whole, then the plain one loses its own. A reader that followed the
//! plain one knows the compressed one by the number of the inode, which stands in the extra field of the header
//! ([`INODE`]). Like the log itself the files are not synced: they survive kills, not the loss of power. While a
//! compressed file is made, its bytes come on top of the bound of the log.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::rotation::{numbered, unfinished};

/// The header's subfield of the plain file's inode: `SB`, the length 8, then the number, all little endian.
pub const INODE: [u8; 4] = [b'S', b'B', 8, 0];
/// Bytes that are read at once.
const SLICE: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Compressor {
    path: PathBuf,
    /// There may be plain files.
    work: bool,
    job: Option<Job>,
    slice: Vec<u8>,
}

#[derive(Debug)]
struct Job {
    /// The number of the file, which changes with rotations.
    index: u32,
    source: File,
    encoder: GzEncoder<File>,
}

impl Compressor {
    pub(super) fn new(path: &Path) -> Compressor {
        Compressor { path: path.to_owned(), work: true, job: None, slice: Vec::new() }
    }

    /// Follows [`super::rotation::make_room`], which returned `gap`, and the renaming that comes after it.
    pub(super) fn rotated(&mut self, gap: u32, max_files: u32) {
        self.work = true;
        if let Some(job) = self.job.as_mut().filter(|job| job.index <= gap) {
            job.index += 1;
        }
        if self.job.as_ref().is_some_and(|job| job.index >= max_files) {
            self.abandon();
        }
    }

    /// Compresses `bytes` and a little more.
    pub(super) fn advance(&mut self, bytes: usize) {
        let mut left = bytes;
        while self.work {
            if let Err(error) = self.step() {
                // The plain file stays and counts like any; the next rotation is the next try.
                eprintln!("sandbox-shim: compress beside {}: {error}", self.path.display());
                self.abandon();
                self.work = false;
            }
            left = match left.checked_sub(SLICE) {
                Some(left) => left,
                None => return,
            };
        }
    }

    fn step(&mut self) -> io::Result<()> {
        let Some(job) = &mut self.job else {
            self.job = self.next()?;
            self.work = self.job.is_some();
            return Ok(());
        };
        self.slice.resize(SLICE, 0);
        let count = job.source.read(&mut self.slice)?;
        if count > 0 {
            return job.encoder.write_all(self.slice.get(..count).unwrap_or_default());
        }
        job.encoder.try_finish()?;
        let plain = job.source.metadata()?;
        let modified = std::fs::FileTimes::new().set_modified(plain.modified()?);
        job.encoder.get_ref().set_times(modified)?;
        std::fs::rename(unfinished(&self.path), numbered(&self.path, job.index, true))?;
        std::fs::remove_file(numbered(&self.path, job.index, false))?;
        self.job = None;
        Ok(())
    }

    /// Begins with the newest plain file, which has the longest life before it.
    fn next(&self) -> io::Result<Option<Job>> {
        for index in 1.. {
            let source = match File::open(numbered(&self.path, index, false)) {
                Ok(source) => source,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Err(_) if numbered(&self.path, index, true).try_exists()? => continue,
                Err(_) => return Ok(None),
            };
            let mut extra = INODE.to_vec();
            extra.extend_from_slice(&source.metadata()?.ino().to_le_bytes());
            let target = super::open(&unfinished(&self.path), rustix::fs::OFlags::TRUNC)?;
            let encoder = flate2::GzBuilder::new().extra(extra).write(target, Compression::fast());
            return Ok(Some(Job { index, source, encoder }));
        }
        Ok(None)
    }

    fn abandon(&mut self) {
        self.job = None;
        // The next job begins the file anew.
        let _ = std::fs::remove_file(unfinished(&self.path));
    }
}

//! Drivers `json-file` and `local`: one JSON object per line, byte for byte Docker's, in files of a bounded size.
//!
//! The current file is `<id>-json.log`, older ones are `.1`, `.2`, ... and `.gz` behind that when compressed. What was read
//! at once from the container is one write. A line is in one file and whole, but for what a full disk or a kill in the
//! middle of a write tore; the next line then begins on a line of its own. A file is larger than `max-size` only if
//! a single line is.

pub(super) mod compress;
mod rotation;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use self::compress::Compressor;
pub(super) use self::rotation::Rotation;
use super::{Line, LogPlan, Stream, attributes, escape, tag};
use crate::calendar::Civil;

/// Bytes that are written before the caller is through with its lines.
const BUFFER: usize = 256 << 10;

/// What the options say.
#[derive(Debug)]
pub(super) struct Settings {
    rotation: Rotation,
    /// A JSON object, or nothing.
    attributes: Vec<u8>,
}

impl Settings {
    pub(super) fn new(plan: &LogPlan) -> Result<Settings, String> {
        let mut chosen = attributes::chosen(&plan.subject, &plan.options, str::to_owned)?;
        let tag = tag::render(&plan.subject, &plan.options, "")?;
        if !tag.is_empty() {
            chosen.insert("tag".to_owned(), tag);
        }
        let mut attributes = Vec::new();
        if !chosen.is_empty() {
            escape::object(&mut attributes, &chosen);
        }
        Ok(Settings { rotation: Rotation::parse(&plan.driver, &plan.options)?, attributes })
    }
}

#[derive(Debug)]
pub(super) struct JsonFile {
    path: PathBuf,
    rotation: Rotation,
    compressor: Option<Compressor>,
    file: File,
    /// Of the file.
    size: u64,
    /// The file ends within a line.
    torn: bool,
    /// Whole lines that are not written yet.
    buffer: Vec<u8>,
    /// What stands between text and time, for each stream.
    between: [Vec<u8>; 2],
    /// The last time that was written, and its text.
    stamp: (i64, String),
    dropped: u64,
    complained: bool,
}

impl JsonFile {
    /// Goes on where a run before this one ended, however that was.
    pub(super) fn open(path: PathBuf, settings: Settings) -> Result<JsonFile, String> {
        let Settings { rotation, attributes } = settings;
        rotation::tidy(&path).map_err(|error| format!("clean up beside {}: {error}", path.display()))?;
        let failed = |error| format!("open {}: {error}", path.display());
        let file = open(&path, OFlags::empty()).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1).map_err(failed)?;
        }
        let between = [Stream::Stdout, Stream::Stderr].map(|stream| {
            let mut text = format!("\",\"stream\":\"{}\",", stream.as_str()).into_bytes();
            if !attributes.is_empty() {
                text.extend_from_slice(b"\"attrs\":");
                text.extend_from_slice(&attributes);
                text.push(b',');
            }
            text.extend_from_slice(b"\"time\":\"");
            text
        });
        Ok(JsonFile {
            compressor: rotation.compress.then(|| Compressor::new(&path)),
            path,
            rotation,
            file,
            size,
            torn: last != [b'\n'],
            buffer: Vec::new(),
            between,
            stamp: (0, Civil::utc(0).rfc3339_nano()),
            dropped: 0,
            complained: false,
        })
    }

    pub(super) fn line(&mut self, line: &Line<'_>) {
        let start = self.buffer.len();
        self.serialize(line);
        let after = self.size + self.buffer.len() as u64;
        if self.rotation.max_size.is_some_and(|max| after > max) && self.size + start as u64 > 0 {
            self.write(start);
            if let Err(error) = self.rotate() {
                self.lost(0, &error, "rotate");
            }
        } else if self.buffer.len() >= BUFFER {
            self.write(self.buffer.len());
        }
    }

    /// Writes what [`JsonFile::line`] gathered.
    pub(super) fn commit(&mut self) {
        let length = self.buffer.len();
        self.write(length);
        if let Some(compressor) = &mut self.compressor {
            // As compressing goes on with at least twice the speed of what comes in, it is done before the next rotation.
            compressor.advance(2 * length);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn serialize(&mut self, line: &Line<'_>) {
        if self.stamp.0 != line.at_ns {
            self.stamp = (line.at_ns, Civil::utc(line.at_ns).rfc3339_nano());
        }
        let out = &mut self.buffer;
        out.extend_from_slice(b"{\"log\":\"");
        escape::escape(out, line.text);
        if line.whole {
            out.extend_from_slice(b"\\n");
        }
        out.extend_from_slice(&self.between[line.stream as usize]);
        out.extend_from_slice(self.stamp.1.as_bytes());
        out.extend_from_slice(b"\"}\n");
    }

    /// Writes the first `length` bytes of the buffer, which are whole lines.
    fn write(&mut self, length: usize) {
        if length == 0 {
            return;
        }
        // Beyond its bound, because it could not be rotated, a file gets nothing more.
        let full = self.rotation.max_size.is_some_and(|max| self.size >= max.saturating_mul(2));
        let mut done = 0;
        let mut outcome = if full { Err(io::ErrorKind::StorageFull.into()) } else { self.mend() };
        while outcome.is_ok() && done < length {
            match self.file.write(&self.buffer[done..length]) {
                Ok(0) => outcome = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => outcome = Err(error),
            }
        }
        self.size += done as u64;
        if let Err(error) = outcome {
            self.torn |= done > 0 && self.buffer[done - 1] != b'\n';
            let lines = memchr::memchr_iter(b'\n', &self.buffer[done..length]).count();
            self.lost(lines as u64, &error, "write");
        }
        self.buffer.drain(..length);
    }

    /// Ends the line that was torn, so that the next one can be read.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.size += 1;
            self.torn = false;
        }
        Ok(())
    }

    /// Counts lines, and complains once.
    fn lost(&mut self, lines: u64, error: &io::Error, action: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            eprintln!("sandbox-shim: {action} {}: {error}; log lines are lost", self.path.display());
        }
        self.dropped += lines;
    }

    /// Makes the file the first of the older ones. Killed anywhere in between, every line is in one file still.
    fn rotate(&mut self) -> io::Result<()> {
        let new = rotation::unborn(&self.path);
        let file = open(&new, OFlags::TRUNC)?;
        if self.rotation.max_files > 1 {
            let gap = rotation::make_room(&self.path, self.rotation.max_files)?;
            if let Some(compressor) = &mut self.compressor {
                compressor.rotated(gap, self.rotation.max_files);
            }
            std::fs::rename(&self.path, rotation::numbered(&self.path, 1, false))?;
        }
        std::fs::rename(&new, &self.path)?;
        (self.file, self.size, self.torn) = (file, 0, false);
        Ok(())
    }
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CREATE | OFlags::APPEND | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(0o640))?.into())
}

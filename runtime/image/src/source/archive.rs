//! The members of an image archive: a tar, plain or compressed, read once from front to back.
//!
//! Every regular file goes to the staging area under a number, never under its own name, so names in the archive touch
//! no file system. A blob of an OCI layout must have the digest that its name says.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::content::{StagedBlob, Staging};
use crate::digest::{Algorithm, Digest, clip};
use crate::layer::decompress;
use crate::{Error, Limits, Result};
use sandbox_tar::{Kind, TarError, TarReader};

const BUFFER: usize = 256 << 10;
/// Bytes that may follow the end of the archive; tars are padded to records of 10 KiB, some to 1 MiB.
const PADDING: u64 = 1 << 20;
/// Links from one member to the next.
const HOPS: usize = 8;

#[derive(Debug)]
pub(super) struct Members {
    found: HashMap<String, Member>,
}

#[derive(Debug)]
enum Member {
    File(StagedBlob),
    /// Another member's path: `docker save` links layers that are the same.
    Link(String),
}

impl Members {
    /// Reads `input` to its end.
    pub(super) fn read(
        input: impl Read + Send,
        staging: &mut Staging,
        limits: &Limits,
        name: &str,
    ) -> Result<Self> {
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: input, taken: Arc::clone(&taken) };
        let plain = decompress(BufReader::with_capacity(BUFFER, counted)).map_err(Error::Read)?;
        let guarded = Guarded { inner: plain, taken, given: 0, limits: limits.clone() };
        let mut tar = TarReader::new(BufReader::with_capacity(BUFFER, guarded), limits.members as u64);
        let mut members = Self { found: HashMap::new() };
        loop {
            match tar.next_entry() {
                Ok(Some(entry)) => {
                    let path = normalize(&entry.path, "");
                    let member = match entry.kind {
                        Kind::File if entry.sparse.is_none() => {
                            Member::File(stage(&path, &mut tar, staging, limits)?)
                        }
                        Kind::HardLink => Member::Link(normalize(&entry.link, "")),
                        Kind::Symlink => Member::Link(normalize(&entry.link, parent(&path))),
                        _ => continue,
                    };
                    members.found.insert(path, member);
                }
                Ok(None) => {
                    // A writer that still pads its last record should not see a broken pipe.
                    io::copy(&mut tar.into_inner().take(PADDING), &mut io::sink()).map_err(Error::Read)?;
                    return Ok(members);
                }
                Err(TarError::Malformed(reason)) => {
                    let reason = format!("it is not a valid tar archive: {reason}");
                    return Err(Error::NotAnImage { path: name.to_owned(), reason });
                }
                Err(TarError::TooManyHeaders) => {
                    let what = "the number of the archive's members".to_owned();
                    return Err(Error::Limit { what, limit: limits.members.to_string() });
                }
                Err(TarError::Read(error)) => return Err(Error::Read(error)),
            }
        }
    }

    pub(super) fn find(&self, path: &str) -> Option<&StagedBlob> {
        let mut path = normalize(path.as_bytes(), "");
        for _ in 0..HOPS {
            match self.found.get(&path)? {
                Member::File(blob) => return Some(blob),
                Member::Link(target) => path.clone_from(target),
            }
        }
        None
    }
}

fn stage<R: BufRead>(
    path: &str,
    tar: &mut TarReader<R>,
    staging: &mut Staging,
    limits: &Limits,
) -> Result<StagedBlob> {
    let named =
        path.strip_prefix("blobs/").and_then(|rest| rest.replacen('/', ":", 1).parse::<Digest>().ok());
    let algorithm = named.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
    let what = format!("archive member {:?}", clip(path));
    let blob = staging.write(&mut Data(tar), algorithm, limits.archive, &what)?;
    match named {
        Some(digest) => blob.expect(&digest, None, &what),
        None => Ok(blob),
    }
}

/// The data of the current entry.
struct Data<'a, R>(&'a mut TarReader<R>);

impl<R: BufRead> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.0.data() {
            Ok(mut data) => data.read(buffer)?,
            Err(TarError::Read(error)) => return Err(error),
            Err(TarError::Malformed(reason)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            Err(TarError::TooManyHeaders) => return Err(io::ErrorKind::InvalidData.into()),
        };
        self.0.consume(count);
        Ok(count)
    }
}

/// A path as a key: relative to the archive's root, without `.` and `..`. It is compared, never opened.
fn normalize(path: &[u8], base: &str) -> String {
    let path = String::from_utf8_lossy(path);
    let mut parts: Vec<&str> = base.split('/').collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Counts what was taken from the input.
struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Ends a stream that decompresses to far more than it took.
struct Guarded<R> {
    inner: R,
    taken: Arc<AtomicU64>,
    given: u64,
    limits: Limits,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given += count as u64;
        let by_ratio = self.taken.load(Ordering::Relaxed).saturating_mul(self.limits.ratio);
        let limit = by_ratio.max(self.limits.ratio_floor).min(self.limits.archive);
        if self.given > limit {
            let text = format!("it decompresses to more than {limit} bytes; it is refused as a bomb");
            return Err(io::Error::other(text));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(normalize(b"./blobs//sha256/x", ""), "blobs/sha256/x");
        assert_eq!(normalize(b"../b/layer.tar", parent("a/layer.tar")), "b/layer.tar");
        assert_eq!(normalize(b"../../../x", "a"), "x");
        assert_eq!(normalize(b"/x", ""), "x");
    }
}

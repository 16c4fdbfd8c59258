//! The uncompressed bytes of a layer: decompressed on a thread of their own, hashed and handed out on the caller's.
//!
//! Compression is told by the first bytes, not by the media type, as Docker and containerd do. Memory is bounded by a
//! handful of chunks; zstd's window is bounded at 128 MiB by the library's default.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::LayerError;
use crate::digest::{Algorithm, Digest, Hasher};

const CHUNK: usize = 256 << 10;
/// Chunks on their way, besides the ones at either end.
const CHUNKS: usize = 6;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// `0x184D2A50` to `0x184D2A5F`, little endian, may stand before a zstd frame (RFC 8878, section 3.1.2).
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const BZIP2: &[u8] = b"BZh";

/// Wraps `source` in the decompressor that its first bytes ask for.
pub(crate) fn decompress<'a>(mut source: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let start = source.fill_buf()?;
    let unsupported = |name| {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{name} compression is not supported")))
    };
    if start.starts_with(GZIP) {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(source)))
    } else if start.starts_with(ZSTD) || start.get(1..4) == Some(ZSTD_SKIPPABLE) {
        Ok(Box::new(zstd::stream::read::Decoder::with_buffer(source)?))
    } else if start.starts_with(XZ) {
        unsupported("xz")
    } else if start.starts_with(BZIP2) {
        unsupported("bzip2")
    } else {
        Ok(Box::new(source))
    }
}

type Chunk = io::Result<Vec<u8>>;

/// Reads and decompresses `source` until its end, an error, or the reader's end. Runs on its own thread.
pub(super) fn produce(source: impl BufRead + Send, chunks: &SyncSender<Chunk>, spare: &Receiver<Vec<u8>>) {
    let mut reader = match decompress(source) {
        Ok(reader) => reader,
        Err(error) => {
            let _ = chunks.send(Err(error));
            return;
        }
    };
    loop {
        let mut chunk = spare.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        // What is there is handed on: more may be a slow connection away.
        let sent = match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                chunks.send(Ok(chunk))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = chunks.send(Err(error));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The two ends of a stream.
pub(super) fn channel(limit: u64) -> (SyncSender<Chunk>, Receiver<Vec<u8>>, LayerStream) {
    let (sender, chunks) = sync_channel(CHUNKS);
    let (spare, spares) = sync_channel(CHUNKS + 2);
    let stream = LayerStream {
        chunks,
        spare,
        current: Vec::new(),
        position: 0,
        hasher: Hasher::new(Algorithm::Sha256),
        total: 0,
        limit,
        over: false,
    };
    (sender, spares, stream)
}

/// The consumer's end: hashes and counts what it hands out.
#[derive(Debug)]
pub(super) struct LayerStream {
    chunks: Receiver<Chunk>,
    spare: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    hasher: Hasher,
    total: u64,
    limit: u64,
    over: bool,
}

impl LayerStream {
    /// Reads to the end and returns the digest of everything.
    pub(super) fn finish(mut self) -> Result<Digest, LayerError> {
        loop {
            let count = self.fill_buf().map_err(LayerError::Read)?.len();
            if count == 0 {
                return Ok(self.hasher.finish());
            }
            self.consume(count);
        }
    }
}

/// The error inside the `io::Error` with which a stream ends that is longer than allowed.
#[derive(Debug, thiserror::Error)]
#[error("the layer is longer than allowed")]
pub(super) struct TooLong;

impl BufRead for LayerStream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.current.len() && !self.over {
            let _ = self.spare.try_send(std::mem::take(&mut self.current));
            self.position = 0;
            // The producer's end without an error is the stream's end.
            match self.chunks.recv() {
                Ok(chunk) => {
                    self.current = chunk?;
                    self.hasher.update(&self.current);
                    self.total += self.current.len() as u64;
                    if self.total > self.limit {
                        return Err(io::Error::other(TooLong));
                    }
                }
                Err(_) => self.over = true,
            }
        }
        Ok(self.current.get(self.position..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for LayerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn digest_of(compressed: &[u8], limit: u64) -> Result<Digest, LayerError> {
        std::thread::scope(|scope| {
            let (sender, spare, stream) = channel(limit);
            scope.spawn(move || produce(compressed, &sender, &spare));
            stream.finish()
        })
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_gzip_and_zstd_are_the_same_content() {
        let data: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let expected = Digest::sha256(&data);
        let limit = data.len() as u64;
        let (first, second) = data.split_at(1_234_567);
        let members = [gzip(first), gzip(second)].concat();
        let frames = [zstd::encode_all(first, 1).unwrap(), zstd::encode_all(second, 1).unwrap()].concat();
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &frames].concat();
        for (name, input) in [
            ("plain", &data),
            ("gzip", &gzip(&data)),
            ("members", &members),
            ("zstd", &frames),
            ("skip", &skippable),
        ] {
            assert_eq!(digest_of(input, limit).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn corrupt_truncated_and_unknown_compression_fail() {
        let whole = gzip(&[7u8].repeat(100_000));
        let mut corrupt = whole.clone();
        *corrupt.last_mut().unwrap() ^= 1;
        assert!(digest_of(&corrupt, 1 << 30).is_err());
        assert!(digest_of(&whole[..whole.len() - 9], 1 << 30).is_err());
        let error = digest_of(&[0xfd, b'7', b'z', b'X', b'Z', 0, 0], 1 << 30).unwrap_err().to_string();
        assert!(error.contains("xz compression is not supported"), "{error}");
    }

    #[test]
    fn stops_at_the_limit() {
        let LayerError::Read(error) = digest_of(&gzip(&[0u8].repeat(10 << 20)), 5 << 20).unwrap_err() else {
            panic!("another error")
        };
        assert!(error.get_ref().unwrap().is::<TooLong>());
    }
}

//! Bodies, bounded: documents in length and time, blobs in length and in how slow they may be.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use sandbox_image::RemoteError;
use ureq::Body;

use super::{Answer, fault};
use crate::failure::{Failure, Result};
use crate::url::Origin;

/// A connection slower than this, in bytes a second, is taken for dead or malicious.
const SLOWEST: u64 = 1024;

/// How long a blob of `size` bytes may take from beginning to end. Far more than any honest one needs, whatever its
/// reader does in between; it ends what looks alive to every other clock, such as trailers without end.
pub(super) fn longest(size: u64, idle: Duration) -> Duration {
    (idle * 60).saturating_add(Duration::from_secs(size / SLOWEST))
}

impl Answer {
    /// The length that was announced.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.content_length()
    }

    /// The whole body, at most `limit` bytes of it.
    pub(crate) fn document(&mut self, limit: u64) -> Result<Vec<u8>> {
        let host = self.url.origin.authority();
        let too_long = || Failure::refused(format!("{host} sends a document of more than {limit} bytes"));
        if self.body.content_length().is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        if self.streams && self.body.content_length().is_none() {
            // An error where a blob was expected. No short time-out runs: without a length its end may never come.
            return Ok(Vec::new());
        }
        let mut reader = self.body.as_reader().take(limit.saturating_add(1));
        let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(fault::body_failure(error, &self.url.origin)),
            };
            bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            if Instant::now() > self.until {
                return Err(Failure::transient(format!("{host} does not complete its answer in time")));
            }
        }
        if bytes.len() as u64 > limit { Err(too_long()) } else { Ok(bytes) }
    }

    /// Reads a short rest, so that the connection can be used again.
    pub(crate) fn finish(mut self) {
        let _ = self.document(64 * 1024);
    }
}

/// The content of a blob: so many bytes, not more, and not slower than [`SLOWEST`] over each idle time.
pub(crate) struct BlobReader {
    body: Box<dyn Read + Send>,
    origin: Origin,
    /// Bytes still to come.
    left: u64,
    announced: bool,
    window: Duration,
    /// Time spent waiting, and bytes that came, since the window began. The reader's own slowness does not count.
    waited: Duration,
    came: u64,
    /// An error once is an error for ever.
    failed: Option<Failure>,
}

impl BlobReader {
    pub(crate) fn new(origin: Origin, body: Body, left: u64, window: Duration) -> Self {
        Self {
            announced: body.content_length().is_some(),
            body: Box::new(body.into_reader()),
            origin,
            left,
            window,
            waited: Duration::ZERO,
            came: 0,
            failed: None,
        }
    }

    fn piece(&mut self, buffer: &mut [u8]) -> Result<usize> {
        // One more than there should be, to notice that there is more.
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let begun = Instant::now();
        let count = self
            .body
            .read(buffer.get_mut(..most).unwrap_or_default())
            .map_err(|error| fault::body_failure(error, &self.origin))?;
        let host = self.origin.authority();
        if count == 0 {
            let left = self.left;
            return Err(Failure::transient(format!("{host} broke the connection with {left} bytes to come")));
        }
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| Failure::refused(format!("{host} sends more than the blob's size")))?;
        self.waited += begun.elapsed();
        self.came += count as u64;
        if self.waited >= self.window {
            let least = u128::from(SLOWEST) * self.waited.as_millis() / 1000;
            if u128::from(self.came) < least {
                let (came, seconds) = (self.came, self.waited.as_secs_f64());
                return Err(Failure::transient(format!(
                    "{host} sends too slowly: {came} bytes in {seconds:.1} seconds"
                )));
            }
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
        Ok(count)
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = &self.failed {
            return Err(io_error(failure));
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            if std::mem::take(&mut self.announced) {
                // Complete by its own length: this reads nothing, and frees the connection for others.
                let _ = self.body.read(buffer);
            }
            return Ok(0);
        }
        self.piece(buffer).map_err(|failure| {
            let error = io_error(&failure);
            self.failed = Some(failure);
            error
        })
    }
}

/// Carries a [`RemoteError`], so that whoever reads can tell what may be tried again.
fn io_error(failure: &Failure) -> io::Error {
    io::Error::other(RemoteError::from(failure.clone()))
}

/// What is sent: exactly as much as was announced. Less would leave the other side waiting for the rest.
pub(super) struct Exactly {
    content: Box<dyn Read + Send>,
    left: u64,
}

impl Exactly {
    pub(super) fn new(content: Box<dyn Read + Send>, size: u64) -> Self {
        Self { content, left: size }
    }
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let refused = |message| io::Error::other(Failure::refused(message));
        let count = match self.content.read(buffer.get_mut(..most).unwrap_or_default()) {
            Ok(0) => return Err(refused(format!("what is to be sent ends {} bytes early", self.left))),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(refused(format!("cannot read what is to be sent: {error}"))),
        };
        self.left -= count as u64;
        Ok(count)
    }
}

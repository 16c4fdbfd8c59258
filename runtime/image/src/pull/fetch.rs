//! The download of one blob: hashed and written to disk as it comes, resumed where it broke.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::partial::{Partial, Whole};
use super::progress::PullState;
use crate::content::ContentStore;
use crate::digest::Digest;
use crate::growing::Growing;
use crate::locks::{Kind, Locks};
use crate::remote::Origin;
use crate::retry::{Latch, Retry};
use crate::{Error, RemoteError, RemoteErrorKind, Result};

const BUFFER: usize = 256 << 10;
/// Bytes between two reports.
const REPORT: u64 = 512 << 10;
/// Bytes that make a try count as progress.
const PROGRESS: u64 = 1 << 20;
/// Time between two looks at a blob that another pull fetches.
const LOOK: Duration = Duration::from_millis(50);
/// A connection that brings less than this in such a time is given up: it could go on like that for years.
const SLOWEST: u64 = 64 << 10;
const WINDOW: Duration = Duration::from_mins(1);

/// A blob to fetch.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// For messages: `layer 0123456789ab`.
    pub(crate) what: String,
    /// For those who read it meanwhile.
    pub(crate) growing: Arc<Growing>,
}

/// What came of a fetch.
#[derive(Debug)]
pub(super) enum Got {
    /// It was in the store, or another pull brought it there.
    Present,
    /// It is whole and right, and needs its name.
    Fetched(Whole),
    /// Another pull is at it.
    Busy,
}

/// Fetches blobs of one image.
pub(super) struct Fetch<'a> {
    pub(super) origin: &'a dyn Origin,
    pub(super) content: &'a ContentStore,
    pub(super) locks: &'a Arc<Locks>,
    pub(super) cancel: &'a Latch,
}

impl Fetch<'_> {
    /// Fetches a blob unless it is there. With `patient` it waits for another pull that does the same.
    pub(super) fn blob(
        &self,
        wanted: &Wanted,
        patient: bool,
        tell: &mut dyn FnMut(PullState),
    ) -> Result<Got> {
        if self.present(wanted)? {
            return Ok(Got::Present);
        }
        let lock = match self.locks.try_acquire(Kind::Blob, &wanted.digest)? {
            Some(lock) => lock,
            None if !patient => return Ok(Got::Busy),
            None => self.locks.acquire(Kind::Blob, &wanted.digest, || self.watch(wanted, tell))?,
        };
        if self.present(wanted)? {
            return Ok(Got::Present);
        }
        let mut partial = Partial::open(self.content, &wanted.digest, wanted.size, lock)?;
        wanted.growing.begin(partial.places(self.content), 0);
        partial.recover(|length| {
            wanted.growing.reach(length);
            tell(PullState::Downloading { current: length, total: wanted.size });
            self.go_on()
        })?;
        self.download(wanted, &mut partial, tell)?;
        tell(PullState::DownloadComplete);
        wanted.growing.verified();
        Ok(Got::Fetched(partial.whole()))
    }

    fn go_on(&self) -> Result<()> {
        if self.cancel.is_set() { Err(Error::Cancelled) } else { Ok(()) }
    }

    fn present(&self, wanted: &Wanted) -> Result<bool> {
        let Some(size) = self.content.size(&wanted.digest) else { return Ok(false) };
        if size != wanted.size {
            let what = wanted.what.clone();
            return Err(Error::SizeMismatch { what, expected: wanted.size, actual: size });
        }
        wanted.growing.begin(vec![self.content.path(&wanted.digest)], size);
        wanted.growing.verified();
        Ok(true)
    }

    /// Passes the time while another pull fetches, and tells how far it is.
    fn watch(&self, wanted: &Wanted, tell: &mut dyn FnMut(PullState)) -> Result<()> {
        if self.cancel.wait(LOOK) {
            return Err(Error::Cancelled);
        }
        if let Ok(found) = std::fs::symlink_metadata(self.content.partial_path(&wanted.digest)) {
            tell(PullState::Downloading { current: found.len().min(wanted.size), total: wanted.size });
        }
        Ok(())
    }

    fn download(
        &self,
        wanted: &Wanted,
        partial: &mut Partial,
        tell: &mut dyn FnMut(PullState),
    ) -> Result<()> {
        let mut retry = Retry::default();
        let mut pieced = partial.length() > 0;
        let mut restarted = false;
        loop {
            if partial.length() == wanted.size {
                tell(PullState::VerifyingChecksum);
                let actual = partial.actual_digest();
                if actual == wanted.digest {
                    return Ok(());
                }
                partial.restart()?;
                if restarted || !pieced {
                    let (what, expected) = (wanted.what.clone(), wanted.digest.clone());
                    return Err(Error::DigestMismatch { what, expected, actual });
                }
                // One of the pieces was wrong, maybe one of long ago.
                (restarted, pieced) = (true, false);
                wanted.growing.begin(partial.places(self.content), 0);
            }
            let before = partial.length();
            match self.attempt(wanted, partial, tell) {
                Ok(()) => {}
                Err(Ended::ForGood(error)) => return Err(error),
                Err(Ended::Broken(error)) => {
                    if partial.length() - before >= PROGRESS {
                        retry.progressed();
                    }
                    let pause = retry.failed(&wanted.what, error)?;
                    tell(PullState::Retrying { seconds: pause.as_secs_f64().ceil() as u64 });
                    if self.cancel.wait(pause) {
                        return Err(Error::Cancelled);
                    }
                    pieced |= partial.length() > 0;
                }
            }
        }
    }

    /// One request: all that is missing, or as much of it as comes.
    fn attempt(
        &self,
        wanted: &Wanted,
        partial: &mut Partial,
        tell: &mut dyn FnMut(PullState),
    ) -> std::result::Result<(), Ended> {
        let asked = partial.length();
        let remote = self.origin.blob(&wanted.digest, wanted.size, asked).map_err(Ended::Broken)?;
        let mut content = remote.content;
        let mut skip = asked.checked_sub(remote.offset).ok_or_else(|| {
            let sent = remote.offset;
            refused(format!(
                "the registry sent {} from byte {sent} on, but was asked for {asked}",
                wanted.what
            ))
        })?;
        let (mut buffer, mut reported) = (vec![0; BUFFER], None);
        let mut pace = Pace::new();
        loop {
            self.go_on().map_err(Ended::ForGood)?;
            let count = match content.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(wanted, partial.length(), &error.to_string())),
            };
            if count == 0 {
                if partial.length() == wanted.size {
                    return Ok(());
                }
                return Err(broken(wanted, partial.length(), "the connection was closed"));
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            // What is here already comes again if the registry sends no parts.
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(count);
            skip -= known as u64;
            let new = bytes.get(known..).unwrap_or_default();
            if new.len() as u64 > wanted.size - partial.length() {
                let (what, size) = (&wanted.what, wanted.size);
                return Err(refused(format!("the registry sends more than the {size} bytes of {what}")));
            }
            partial.append(new).map_err(Ended::ForGood)?;
            let length = partial.length();
            wanted.growing.reach(length);
            if reported.is_none_or(|at| length - at >= REPORT) || length == wanted.size {
                reported = Some(length);
                tell(PullState::Downloading { current: length, total: wanted.size });
            }
            if !pace.is_kept(count) {
                return Err(broken(wanted, length, "the connection is too slow"));
            }
        }
    }
}

/// Why a request did not bring everything.
enum Ended {
    /// It may be made again, if the error is of that kind.
    Broken(RemoteError),
    ForGood(Error),
}

fn refused(message: String) -> Ended {
    Ended::ForGood(Error::Remote(RemoteError { kind: RemoteErrorKind::Refused, message }))
}

fn broken(wanted: &Wanted, length: u64, why: &str) -> Ended {
    let message =
        format!("the download of {} broke off after {length} of {} bytes: {why}", wanted.what, wanted.size);
    Ended::Broken(RemoteError { kind: RemoteErrorKind::Transient, message })
}

/// Watches that something comes.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    fn is_kept(&mut self, count: usize) -> bool {
        self.bytes += count as u64;
        if self.since.elapsed() < WINDOW {
            return true;
        }
        let kept = self.bytes >= SLOWEST;
        *self = Self::new();
        kept
    }
}

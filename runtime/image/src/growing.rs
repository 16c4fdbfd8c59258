//! A blob that one thread brings and others read meanwhile.
//!
//! The bytes are in a file; this is about how many of them are there, and whether they turned out right. A reader sees
//! the end of the content only after its digest was verified. When a download has to begin anew because its content
//! was wrong, readers of the bytes before fail and are told to read again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<File>>,
    length: u64,
    /// Counts beginnings.
    round: u32,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Verified,
    Failed,
}

/// What became of the bytes that a reader saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They were right.
    Verified,
    /// They were wrong; others come.
    Again,
    /// They will never be whole. Whoever brought them knows why.
    Failed,
}

/// The error inside the `io::Error` of a reader whose bytes will not be whole.
#[derive(Debug, thiserror::Error)]
#[error("the download of the blob ended early")]
pub(crate) struct Broken;

impl Growing {
    /// Begins, with the first `length` bytes of `file`. Readers of an earlier beginning fail.
    pub(crate) fn begin(&self, file: Arc<File>, length: u64) {
        self.change(|state| {
            state.file = Some(file);
            state.length = length;
            state.round += 1;
        });
    }

    /// So many bytes are there now.
    pub(crate) fn reach(&self, length: u64) {
        self.change(|state| state.length = length);
    }

    /// All bytes are there, and they are right.
    pub(crate) fn verified(&self) {
        self.change(|state| state.end = Some(End::Verified));
    }

    /// There will be no more bytes. Changes nothing after [`Growing::verified`].
    pub(crate) fn fail(&self) {
        self.change(|state| state.end = state.end.or(Some(End::Failed)));
    }

    /// Waits for the beginning; `None` if there will be none.
    pub(crate) fn reader(self: &Arc<Self>) -> Option<GrowingReader> {
        let mut state = self.state();
        loop {
            match (&state.file, state.end) {
                (_, Some(End::Failed)) => return None,
                (Some(file), _) => {
                    let (blob, file, round) = (Arc::clone(self), Arc::clone(file), state.round);
                    let abandoned = Arc::default();
                    return Some(GrowingReader { blob, file, round, position: 0, abandoned });
                }
                (None, _) => state = self.wait(state),
            }
        }
    }

    /// Waits until it is known what became of the bytes of a reader.
    pub(crate) fn outcome(&self, round: u32) -> Outcome {
        let mut state = self.state();
        loop {
            match state.end {
                Some(End::Failed) => return Outcome::Failed,
                _ if state.round != round => return Outcome::Again,
                Some(End::Verified) => return Outcome::Verified,
                None => state = self.wait(state),
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a [`Growing`] from its beginning, waiting for bytes that are not there yet.
#[derive(Debug)]
pub(crate) struct GrowingReader {
    blob: Arc<Growing>,
    file: Arc<File>,
    round: u32,
    position: u64,
    abandoned: Arc<AtomicBool>,
}

/// Ends a reader that may be waiting in another thread.
#[derive(Debug)]
pub(crate) struct Abandon {
    blob: Arc<Growing>,
    flag: Arc<AtomicBool>,
}

impl Abandon {
    pub(crate) fn abandon(&self) {
        self.blob.change(|_| self.flag.store(true, Ordering::Relaxed));
    }
}

impl GrowingReader {
    /// For [`Growing::outcome`].
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    pub(crate) fn abandon(&self) -> Abandon {
        Abandon { blob: Arc::clone(&self.blob), flag: Arc::clone(&self.abandoned) }
    }

    /// Waits for bytes and returns how many there are; 0 at the end.
    fn available(&self) -> io::Result<u64> {
        let mut state = self.blob.state();
        loop {
            let abandoned = self.abandoned.load(Ordering::Relaxed);
            if abandoned || state.round != self.round || state.end == Some(End::Failed) {
                return Err(io::Error::other(Broken));
            }
            if state.length > self.position {
                return Ok(state.length - self.position);
            }
            if state.end == Some(End::Verified) {
                return Ok(0);
            }
            state = self.blob.wait(state);
        }
    }
}

impl Read for GrowingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = usize::try_from(self.available()?).unwrap_or(usize::MAX);
        let wanted = available.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.position)?;
        if count == 0 {
            return Err(io::Error::other("the blob's file is shorter than what was written to it"));
        }
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    #[test]
    fn a_reader_follows_the_writer_and_ends_when_verified() {
        let growing = Arc::new(Growing::default());
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut bytes = Vec::new();
                growing.reader().unwrap().read_to_end(&mut bytes).map(|_| bytes)
            });
            growing.begin(file(b"abcdef"), 2);
            growing.reach(4);
            growing.reach(6);
            growing.verified();
            reader.join().unwrap().unwrap()
        });
        assert_eq!(read, b"abcdef");
        assert_eq!(growing.outcome(1), Outcome::Verified);
        growing.fail();
        assert_eq!(growing.outcome(1), Outcome::Verified);
    }

    #[test]
    fn a_new_beginning_breaks_readers_of_the_old_one() {
        let growing = Arc::new(Growing::default());
        growing.begin(file(b"wrong"), 5);
        let mut reader = growing.reader().unwrap();
        let mut bytes = [0; 5];
        reader.read_exact(&mut bytes).unwrap();
        growing.begin(file(b"right"), 5);
        assert!(reader.read(&mut bytes).unwrap_err().get_ref().unwrap().is::<Broken>());
        assert_eq!(growing.outcome(reader.round()), Outcome::Again);
        growing.verified();
        assert_eq!(growing.outcome(reader.round()), Outcome::Again);
        let mut again = Vec::new();
        growing.reader().unwrap().read_to_end(&mut again).unwrap();
        assert_eq!(again, b"right");
    }

    #[test]
    fn a_waiting_reader_can_be_abandoned() {
        let growing = Arc::new(Growing::default());
        growing.begin(file(b"abc"), 3);
        let mut reader = growing.reader().unwrap();
        let abandon = reader.abandon();
        std::thread::scope(|scope| {
            let read = scope.spawn(move || reader.read_to_end(&mut Vec::new()));
            abandon.abandon();
            assert!(read.join().unwrap().is_err());
        });
    }

    #[test]
    fn what_fails_has_no_reader() {
        let growing = Arc::new(Growing::default());
        growing.begin(file(b"abc"), 3);
        let mut reader = growing.reader().unwrap();
        growing.fail();
        assert!(reader.read(&mut [0; 3]).is_err());
        assert!(growing.reader().is_none());
        assert_eq!(growing.outcome(1), Outcome::Failed);
    }
}

//! A blob that one thread brings and others read meanwhile.
//!
//! The bytes are in a file; this is about how many of them are there, and whether they turned out right. A reader sees
//! the end of the content only after its digest was verified. When a download has to begin anew because its content
//! was wrong, readers of the bytes before fail and are told to read again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
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
    /// Where the file may be; none before the beginning.
    places: Vec<PathBuf>,
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
    /// Begins, with the first `length` bytes of a file, which is at one of `places` and may move on from one to the next.
    /// Readers of an earlier beginning fail.
    pub(crate) fn begin(&self, places: Vec<PathBuf>, length: u64) {
        self.change(|state| {
            state.places = places;
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
    pub(crate) fn reader(self: &Arc<Self>) -> io::Result<Option<GrowingReader>> {
        let mut state = self.state();
        while state.places.is_empty() && state.end.is_none() {
            state = self.wait(state);
        }
        if state.end == Some(End::Failed) {
            return Ok(None);
        }
        let mut file = Err(io::ErrorKind::NotFound.into());
        for place in &state.places {
            file = File::open(place);
            if file.is_ok() {
                break;
            }
        }
        let (blob, round) = (Arc::clone(self), state.round);
        Ok(Some(GrowingReader { blob, file: file?, round, position: 0, abandoned: Arc::default() }))
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
    file: File,
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
    /// The path of a new file, and one where none is; both go with the test's directory.
    fn file(directory: &tempfile::TempDir, content: &[u8]) -> Vec<PathBuf> {
        let path = directory.path().join(content.len().to_string());
        std::fs::write(&path, content).unwrap();
        vec![directory.path().join("none"), path]
    }

    #[test]
    fn a_reader_follows_the_writer_and_ends_when_verified() {
        let (growing, directory) = (Arc::new(Growing::default()), tempfile::tempdir().unwrap());
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut bytes = Vec::new();
                growing.reader().unwrap().unwrap().read_to_end(&mut bytes).map(|_| bytes)
            });
            growing.begin(file(&directory, b"abcdef"), 2);
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
        let (growing, directory) = (Arc::new(Growing::default()), tempfile::tempdir().unwrap());
        growing.begin(file(&directory, b"wrong"), 5);
        let mut reader = growing.reader().unwrap().unwrap();
        let mut bytes = [0; 5];
        reader.read_exact(&mut bytes).unwrap();
        growing.begin(file(&directory, b"rights"), 6);
        assert!(reader.read(&mut bytes).unwrap_err().get_ref().unwrap().is::<Broken>());
        assert_eq!(growing.outcome(reader.round()), Outcome::Again);
        growing.verified();
        assert_eq!(growing.outcome(reader.round()), Outcome::Again);
        let mut again = Vec::new();
        growing.reader().unwrap().unwrap().read_to_end(&mut again).unwrap();
        assert_eq!(again, b"rights");
    }

    #[test]
    fn a_waiting_reader_can_be_abandoned() {
        let (growing, directory) = (Arc::new(Growing::default()), tempfile::tempdir().unwrap());
        growing.begin(file(&directory, b"abc"), 3);
        let mut reader = growing.reader().unwrap().unwrap();
        let abandon = reader.abandon();
        std::thread::scope(|scope| {
            let read = scope.spawn(move || reader.read_to_end(&mut Vec::new()));
            abandon.abandon();
            assert!(read.join().unwrap().is_err());
        });
    }

    #[test]
    fn what_fails_has_no_reader() {
        let (growing, directory) = (Arc::new(Growing::default()), tempfile::tempdir().unwrap());
        growing.begin(file(&directory, b"abc"), 3);
        let mut reader = growing.reader().unwrap().unwrap();
        growing.fail();
        assert!(reader.read(&mut [0; 3]).is_err());
        assert!(growing.reader().unwrap().is_none());
        assert_eq!(growing.outcome(1), Outcome::Failed);
    }
}

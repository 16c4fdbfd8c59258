//! Another try after a passing failure of a registry, and how to end the waiting when there is no use in it any more.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Error, RemoteError, RemoteErrorKind, Result};

/// Tries that may fail one after the other.
const TRIES: u32 = 5;
/// Pauses double from the first to the last.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Something that happens once.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    pub(crate) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for it, but not longer than `time`; true if it happened.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        while !*set {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            set = self.changed.wait_timeout(set, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Counts the failures of one request that is made again and again.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
}

impl Retry {
    /// The pause before the next try.
    ///
    /// # Errors
    /// The failure itself if it is for good, or [`Error::Retries`] if there were too many.
    pub(crate) fn failed(&mut self, what: &str, error: RemoteError) -> Result<Duration> {
        if error.kind != RemoteErrorKind::Transient {
            return Err(Error::Remote(error));
        }
        self.failures += 1;
        if self.failures >= TRIES {
            return Err(Error::Retries { what: what.to_owned(), tries: TRIES, source: error });
        }
        Ok(PAUSE.saturating_mul(1 << (self.failures - 1)).min(LONGEST_PAUSE))
    }

    /// A try brought something before it failed.
    pub(crate) fn progressed(&mut self) {
        self.failures = 0;
    }
}

/// Makes a request until it succeeds, fails for good or failed too often.
pub(crate) fn retrying<T>(
    what: &str,
    cancel: &Latch,
    mut request: impl FnMut() -> std::result::Result<T, RemoteError>,
) -> Result<T> {
    let mut retry = Retry::default();
    loop {
        match request() {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                if cancel.wait(retry.failed(what, error)?) {
                    return Err(Error::Cancelled);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: RemoteErrorKind) -> RemoteError {
        RemoteError { kind, message: "no".into() }
    }

    #[test]
    fn passing_failures_are_tried_again_until_it_is_too_much() {
        let mut retry = Retry::default();
        let mut pauses = Vec::new();
        let error = loop {
            match retry.failed("blob", failure(RemoteErrorKind::Transient)) {
                Ok(pause) => pauses.push(pause.as_millis()),
                Err(error) => break error,
            }
        };
        assert_eq!(pauses, [100, 200, 400, 800]);
        assert_eq!(error.to_string(), "cannot get blob after 5 tries: no");
        assert!(matches!(retry.failed("blob", failure(RemoteErrorKind::Denied)), Err(Error::Remote(_))));
    }

    #[test]
    fn a_set_latch_ends_the_waiting() {
        let latch = Latch::default();
        assert!(!latch.wait(Duration::ZERO));
        latch.set();
        let asked = std::cell::Cell::new(0);
        let result: Result<()> = retrying("x", &latch, || {
            asked.set(asked.get() + 1);
            Err(failure(RemoteErrorKind::Transient))
        });
        assert!(matches!(result, Err(Error::Cancelled)));
        assert_eq!(asked.get(), 1);
    }
}

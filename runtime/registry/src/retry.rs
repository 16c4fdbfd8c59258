//! Trying again what failed for the moment, with pauses that double.
//!
//! A registry may ask for a longer pause (`Retry-After`), within reason: whoever asks for more gets no further try, and
//! the message says so.

use std::time::Duration;

use sandbox_image::RemoteErrorKind::Transient;

use crate::failure::Result;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);
/// Who is not there at all gets this many further chances: somebody is waiting at a terminal.
const UNREACHABLE: u32 = 2;
/// The longest pause that a registry may ask for.
const REASONABLE: Duration = Duration::from_secs(30);

/// How patient to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) retries: u32,
    /// The first pause.
    pub(crate) pause: Duration,
}

impl Patience {
    pub(crate) fn new(retries: u32) -> Self {
        Self { retries, pause: FIRST }
    }

    /// For a place that others can stand in for.
    pub(crate) fn none() -> Self {
        Self::new(0)
    }

    /// The result of the first attempt that succeeds or fails for good, or of the last one.
    pub(crate) fn run<T>(self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut pause = self.pause;
        let mut unreachable = 0;
        for _ in 0..self.retries {
            let failure = match attempt() {
                Err(failure) if failure.kind == Transient => failure,
                result => return result,
            };
            let wished = failure.retry_after.unwrap_or_default();
            unreachable += u32::from(failure.unreachable);
            if wished > REASONABLE || unreachable > UNREACHABLE {
                return Err(failure);
            }
            std::thread::sleep(pause.max(wished));
            pause = (pause * 2).min(LONGEST);
        }
        attempt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn attempts(patience: Patience, failure: &Failure) -> u32 {
        let mut count = 0;
        let result: Result<()> = patience.run(|| {
            count += 1;
            Err(failure.clone())
        });
        assert!(result.is_err());
        count
    }

    #[test]
    fn retries_only_what_may_pass() {
        let quick = Patience { retries: 3, pause: Duration::from_millis(1) };
        assert_eq!(attempts(quick, &Failure::transient("x")), 4);
        assert_eq!(attempts(quick, &Failure::refused("x")), 1);
        assert_eq!(attempts(quick, &Failure::unreachable("x")), 3);
        assert_eq!(attempts(Patience::none(), &Failure::transient("x")), 1);
    }

    #[test]
    fn does_not_wait_for_ever() {
        let quick = Patience { retries: 3, pause: Duration::from_millis(1) };
        let later = Failure { retry_after: Some(Duration::from_hours(24)), ..Failure::transient("x") };
        assert_eq!(attempts(quick, &later), 1);
    }

    #[test]
    fn stops_at_success() {
        let mut count = 0;
        let result = Patience { retries: 5, pause: Duration::ZERO }.run(|| {
            count += 1;
            if count < 3 { Err(Failure::transient("x")) } else { Ok(count) }
        });
        assert_eq!(result.unwrap(), 3);
    }
}

//! Whether and when a container that has ended is started again: Docker's rules.

use std::time::Duration;

use crate::plan::Restart;

/// The first wait.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_mins(1);
/// A container that ran so long starts over with the shortest wait.
const RECOVERED: Duration = Duration::from_secs(10);

/// Counts the restarts of one container.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    count: u32,
    wait: Option<Duration>,
}

impl Backoff {
    /// It ran for `ran` and ended with `code`, not because somebody wanted it to: how long to wait before it is started
    /// again, if it is.
    pub(crate) fn next(&mut self, policy: Restart, code: u8, ran: Duration) -> Option<Duration> {
        let again = match policy {
            Restart::No => false,
            Restart::Always | Restart::UnlessStopped => true,
            Restart::OnFailure { max } => code != 0 && (max == 0 || self.count < max),
        };
        if !again {
            return None;
        }
        let wait = match self.wait {
            Some(wait) if ran < RECOVERED => (wait * 2).min(LONGEST),
            _ => SHORTEST,
        };
        self.count = self.count.saturating_add(1);
        self.wait = Some(wait);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_over_after_a_good_run() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..12)
            .map(|_| backoff.next(Restart::Always, 0, Duration::from_secs(1)).unwrap().as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        assert_eq!(backoff.next(Restart::Always, 0, RECOVERED), Some(SHORTEST));
    }

    #[test]
    fn on_failure_counts() {
        let mut backoff = Backoff::default();
        let policy = Restart::OnFailure { max: 2 };
        assert_eq!(backoff.next(policy, 0, Duration::ZERO), None);
        assert!(backoff.next(policy, 1, Duration::ZERO).is_some());
        assert!(backoff.next(policy, 1, Duration::ZERO).is_some());
        assert_eq!(backoff.next(policy, 1, Duration::ZERO), None);
        let endless = Restart::OnFailure { max: 0 };
        assert!((0..100).all(|_| backoff.next(endless, 3, Duration::ZERO).is_some()));
        assert_eq!(Backoff::default().next(Restart::No, 1, Duration::ZERO), None);
    }
}

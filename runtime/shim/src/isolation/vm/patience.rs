//! How long the guest may take: its time stands still while its machine is paused.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// A time-out has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimedOut;

/// See the module. Clones stand still together.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    least: Duration,
    still: Rc<watch::Sender<bool>>,
}

impl Patience {
    /// Every limit is at least `least`.
    pub(crate) fn new(least: Duration) -> Self {
        Self { least, still: Rc::new(watch::Sender::new(false)) }
    }

    /// What a limit comes to.
    pub(crate) fn limit(&self, usual: Duration) -> Duration {
        usual.max(self.least)
    }

    /// Stops the guest's clock.
    pub(crate) fn hold(&self) {
        self.still.send_replace(true);
    }

    /// Lets it run on.
    pub(crate) fn release(&self) {
        self.still.send_replace(false);
    }

    /// Waits until it stands still.
    pub(crate) async fn held(&self) {
        // We have the sender.
        let _ = self.still.subscribe().wait_for(|still| *still).await;
    }

    /// Waits until it runs.
    pub(crate) async fn released(&self) {
        let _ = self.still.subscribe().wait_for(|still| !*still).await;
    }

    /// Awaits `work` for [`Patience::limit`] of the guest's time.
    ///
    /// # Errors
    /// When that has passed.
    pub(crate) async fn wait<T>(
        &self,
        usual: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        self.exactly(self.limit(usual), work).await
    }

    /// Awaits `work` for `limit` of the guest's time.
    ///
    /// # Errors
    /// When that has passed.
    pub(crate) async fn exactly<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.pass(limit) => Err(TimedOut),
        }
    }

    /// Waits for this much of the guest's time.
    pub(crate) async fn pass(&self, mut left: Duration) {
        loop {
            self.released().await;
            let began = Instant::now();
            tokio::select! {
                biased;
                () = self.held() => left = left.saturating_sub(began.elapsed()),
                () = sleep(left) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_does_not_pass_while_the_guest_stands_still() {
        let patience = Patience::new(Duration::from_secs(10));
        let never = std::future::pending::<()>;
        let began = Instant::now();
        assert_eq!(patience.wait(Duration::from_secs(3), never()).await, Err(TimedOut));
        assert_eq!(began.elapsed().as_secs(), 10);
        let clone = patience.clone();
        let pauses = async {
            for _ in 0..3 {
                sleep(Duration::from_secs(1)).await;
                clone.hold();
                clone.held().await;
                sleep(Duration::from_hours(1)).await;
                clone.release();
            }
        };
        let began = Instant::now();
        let (outcome, ()) = tokio::join!(patience.exactly(Duration::from_secs(5), never()), pauses);
        assert_eq!(outcome, Err(TimedOut));
        assert_eq!(began.elapsed().as_secs(), 3 * 3600 + 5);
        patience.hold();
        assert_eq!(patience.exactly(Duration::ZERO, async { 7 }).await, Ok(7));
    }
}

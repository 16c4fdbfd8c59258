//! What the monitor says of a machine that runs.

use sandbox_vmm::control::Event;
use tokio::sync::watch;

/// The last that was heard. Clones hear the same.
#[derive(Debug, Clone)]
pub(crate) struct News {
    paused: watch::Sender<bool>,
    balloon: watch::Sender<Balloon>,
}

/// A balloon, MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Balloon {
    pub(crate) target: u64,
    /// As the guest says.
    pub(crate) actual: u64,
}

impl Default for News {
    fn default() -> Self {
        Self { paused: watch::Sender::new(false), balloon: watch::Sender::new(Balloon::default()) }
    }
}

impl News {
    pub(super) fn hear(&self, event: &Event) {
        match event {
            Event::Paused => drop(self.paused.send_replace(true)),
            Event::Resumed => drop(self.paused.send_replace(false)),
            Event::Balloon { target_mib, actual_mib } => {
                self.balloon.send_replace(Balloon { target: *target_mib, actual: *actual_mib });
            }
            Event::Started { .. } | Event::Failed { .. } | Event::Exited { .. } => {}
        }
    }

    /// Waits until the machine is paused, or is not.
    pub(crate) async fn paused(&self, wanted: bool) {
        // We have the sender, here and below.
        let _ = self.paused.subscribe().wait_for(|paused| *paused == wanted).await;
    }

    /// What is said of the balloon from now on.
    pub(crate) fn balloon(&self) -> BalloonNews {
        BalloonNews(self.balloon.subscribe())
    }
}

/// See [`News::balloon`].
#[derive(Debug)]
pub(crate) struct BalloonNews(watch::Receiver<Balloon>);

impl BalloonNews {
    /// Whether the last word holds.
    pub(crate) fn says(&self, holds: impl Fn(Balloon) -> bool) -> bool {
        holds(*self.0.borrow())
    }

    /// Waits for the next word that holds.
    pub(crate) async fn until(&mut self, holds: impl Fn(Balloon) -> bool) {
        while self.0.changed().await.is_ok() {
            if holds(*self.0.borrow_and_update()) {
                return;
            }
        }
        // A monitor that is gone is waited for elsewhere.
        std::future::pending::<()>().await;
    }
}

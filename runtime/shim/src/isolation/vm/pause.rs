//! A paused machine: what its agent would have answered, and what it is told when it goes on.
//!
//! Signals, sizes and limits wait as they would for frozen processes: they are in the guest before its first instruction.
//! What was used and who was there is asked just before the pause and holds until its end.

use std::time::Duration;

use sandbox_container::{Processes, Usage};
use sandbox_protocol::{message, request};
use sandbox_vmm::control::Command;
use tokio::time::timeout;

use super::agent::Pending;
use super::container::VmContainer;
use super::figures;
use crate::isolation::{Failure, Running};

/// How long the guest may take to say what is kept for the time of the pause. A pause without it is better than none.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long it may write back its files before it is paused without.
const WRITE_BACK: Duration = Duration::from_secs(10);
/// How long the monitor may take to stop or start all processors.
const CHANGE: Duration = Duration::from_secs(10);
/// Requests that wait for the end of a pause.
const MAX_DEFERRED: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Paused {
    usage: Option<Usage>,
    processes: Option<Processes>,
    /// Its files were written back.
    pub(super) written: bool,
    deferred: Vec<request::Body>,
}

impl Paused {
    /// Keeps `body` for the end of the pause. What is there already waits once, as a pending signal does; of sizes of one
    /// terminal the last counts.
    ///
    /// # Errors
    /// When too many wait.
    pub(super) fn defer(&mut self, body: request::Body) -> Result<(), Failure> {
        if let request::Body::Resize(new) = &body {
            let same =
                |old: &request::Body| matches!(old, request::Body::Resize(old) if old.exec == new.exec);
            self.deferred.retain(|old| !same(old));
        } else if self.deferred.last() == Some(&body)
            || (matches!(body, request::Body::Signal(_)) && self.deferred.contains(&body))
        {
            return Ok(());
        }
        if self.deferred.len() >= MAX_DEFERRED {
            return Err(Failure::engine("too many requests wait for the paused container: unpause it first"));
        }
        self.deferred.push(body);
        Ok(())
    }
}

impl VmContainer {
    /// Asks the guest, or what is kept of it.
    pub(super) async fn usage(&self) -> Result<Usage, Failure> {
        match self.unless_paused(figures::usage(&self.agent, &self.id)).await {
            Some(usage) => usage,
            None => self.kept(|paused| paused.usage.clone()),
        }
    }

    /// Asks the guest, or what is kept of it.
    pub(super) async fn listed(&self) -> Result<Processes, Failure> {
        match self.unless_paused(figures::processes(&self.agent, &self.id)).await {
            Some(list) => list,
            None => self.kept(|paused| paused.processes.clone()),
        }
    }

    async fn unless_paused<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Option<Result<T, Failure>> {
        tokio::select! {
            biased;
            () = self.patience.held() => None,
            result = self.unless_dead(work) => Some(result),
        }
    }

    fn kept<T>(&self, of: impl FnOnce(&Paused) -> Option<T>) -> Result<T, Failure> {
        self.paused.borrow().as_ref().and_then(of).ok_or_else(|| {
            Failure::engine(format!(
                "Container {} is paused, and its guest did not tell before: unpause the container first",
                self.id
            ))
        })
    }

    /// Sends `body` and waits for its answer, or leaves it for the end of a pause.
    pub(super) async fn tell(&self, body: request::Body) -> Result<(), Failure> {
        if let Some(paused) = &mut *self.paused.borrow_mut() {
            return paused.defer(body);
        }
        // What was sent when a pause begins is in the guest, and done at the pause's end.
        self.unless_paused(self.agent.request(body)).await.map_or(Ok(()), |answer| answer.map(drop))
    }

    pub(super) async fn pause_machine(&self) -> Result<(), Failure> {
        let already = || Err(Failure::engine(format!("Container {} is already paused", self.id)));
        if self.paused.borrow().is_some() {
            return already();
        }
        // Who looks at its files on the host meanwhile sees all of them.
        let written = timeout(WRITE_BACK, self.sync()).await.is_ok_and(|synced| synced.is_ok());
        let last_words = async { (self.usage().await.ok(), self.listed().await.ok()) };
        let (usage, processes) = timeout(LAST_WORDS, last_words).await.unwrap_or_default();
        if self.paused.borrow().is_some() {
            return already();
        }
        // From here on nobody waits for the guest.
        *self.paused.borrow_mut() = Some(Paused { usage, processes, written, deferred: Vec::new() });
        self.patience.hold();
        let stopped = async {
            self.monitor.command(&Command::Pause).await;
            tokio::select! {
                () = self.monitor.news.paused(true) => Ok(()),
                () = self.patience.released() => {
                    Err(Failure::engine(format!("Container {} was resumed or killed while it was being paused", self.id)))
                }
            }
        };
        if let Ok(result) = timeout(CHANGE, self.unless_dead(stopped)).await {
            return result;
        }
        self.wake().await?;
        Err(Failure::engine(format!(
            "cannot pause container {}: the monitor of its microVM did not stop all processors within {CHANGE:?}",
            self.id
        )))
    }

    pub(super) async fn resume_machine(&self) -> Result<(), Failure> {
        if self.paused.borrow().is_none() {
            return Err(Failure::engine(format!("Container {} is not paused", self.id)));
        }
        self.wake().await
    }

    /// Ends a pause, if there is one, with all that waits for its end.
    pub(super) async fn wake(&self) -> Result<(), Failure> {
        let Some(paused) = self.paused.borrow_mut().take() else { return Ok(()) };
        self.patience.release();
        let updates: Vec<bool> =
            paused.deferred.iter().map(|body| matches!(body, request::Body::Update(_))).collect();
        let resume = async {
            self.monitor.command(&Command::Resume).await;
            let runs = async {
                self.monitor.news.paused(false).await;
                Ok(())
            };
            timeout(CHANGE, self.unless_dead(runs)).await.unwrap_or_else(|_| {
                Err(Failure::engine(format!(
                    "the monitor of the microVM did not let container {} run on within {CHANGE:?}",
                    self.id
                )))
            })
        };
        let (sent, resumed) = tokio::join!(self.unless_dead(self.agent.send_all(paused.deferred)), resume);
        resumed?;
        let answers: Vec<Pending> = sent?;
        for (answer, update) in answers.into_iter().zip(updates) {
            // Signals and sizes are for processes that may be gone.
            if update {
                self.unless_dead(answer.answer()).await.map_err(|failure| Failure {
                    message: format!(
                        "container {} runs again, but not with the limits that were set in the pause: {failure}",
                        self.id
                    ),
                    ..failure
                })?;
            }
        }
        Ok(())
    }

    /// Kills every process by the agent, waking a machine that is paused; the kill is in the guest before it runs on.
    pub(super) async fn kill_by_agent(&self, body: request::Body) -> Result<message::Body, Failure> {
        let paused = self.paused.borrow_mut().take().is_some();
        self.patience.release();
        let wake = async {
            if paused {
                self.monitor.command(&Command::Resume).await;
            }
        };
        let (killed, ()) = tokio::join!(self.unless_dead(self.agent.request(body)), wake);
        killed
    }
}

#[cfg(test)]
mod tests {
    use sandbox_protocol::{Resize, Signal};

    use super::*;

    fn signal(exec: &str, signal: i32) -> request::Body {
        request::Body::Signal(Signal { container: "c".into(), exec: exec.into(), signal, all: false })
    }

    fn resize(exec: &str, rows: u32) -> request::Body {
        request::Body::Resize(Resize { container: "c".into(), exec: exec.into(), rows, cols: 80 })
    }

    #[test]
    fn what_waits_is_bounded_as_pending_signals_are() {
        let mut paused = Paused::default();
        for _ in 0..1000 {
            for body in [signal("", 15), resize("", 1), signal("x", 15), resize("x", 2), resize("", 3)] {
                paused.defer(body).unwrap();
            }
        }
        let left = [signal("", 15), signal("x", 15), resize("x", 2), resize("", 3)];
        assert_eq!(paused.deferred, left);
        let full = (0..1000).find_map(|number| paused.defer(signal("x", number + 100)).err());
        assert!(full.unwrap().message.contains("too many"));
        assert_eq!(paused.deferred.len(), MAX_DEFERRED);
    }
}

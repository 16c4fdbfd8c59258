//! What the workers on one image's layers tell each other: which layer is whose, which are whole, whether to go on.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::store::LayerInfo;
use crate::locks::DigestLock;
use crate::{Error, LayerError, Result};

/// One layer, by its place in the image.
#[derive(Debug)]
pub(super) enum Slot {
    /// Nobody looked yet.
    Unknown,
    /// To be made by the worker that comes to it.
    Claimed(DigestLock),
    Working,
    Ready(Ready),
    Failed(Error),
}

/// A layer that is whole.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) info: LayerInfo,
    pub(super) diff: Arc<OwnedFd>,
    /// `None` once it has its name.
    pub(super) fresh: Option<Fresh>,
}

/// A layer that was made here and has no name yet.
#[derive(Debug)]
pub(super) struct Fresh {
    /// Holds `diff` and the facts.
    pub(super) directory: PathBuf,
    pub(super) has_root: bool,
    pub(super) _lock: DigestLock,
}

#[derive(Debug)]
struct State {
    slots: Vec<Slot>,
    cancelled: bool,
}

impl State {
    fn is_over(&self) -> bool {
        self.cancelled || self.slots.iter().any(|slot| matches!(slot, Slot::Failed(_)))
    }
}

/// The layers of one image.
#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let slots = (0..count).map(|_| Slot::Unknown).collect();
        Self { state: Mutex::new(State { slots, cancelled: false }), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cancel(&self) {
        self.state().cancelled = true;
        self.changed.notify_all();
    }

    pub(super) fn set(&self, index: usize, slot: Slot) {
        if let Some(place) = self.state().slots.get_mut(index) {
            *place = slot;
        }
        self.changed.notify_all();
    }

    /// Lets some time pass; false if there is nothing left to do.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let state = self.state();
        if state.is_over() {
            return false;
        }
        let (state, _) = self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
        !state.is_over()
    }

    /// The right to make a layer, unless it is there or it is of no use any more.
    pub(super) fn take_claim(&self, index: usize) -> Option<DigestLock> {
        let mut state = self.state();
        if state.is_over() {
            return None;
        }
        let slot = state.slots.get_mut(index)?;
        match std::mem::replace(slot, Slot::Working) {
            Slot::Claimed(lock) => Some(lock),
            other => {
                *slot = other;
                None
            }
        }
    }

    pub(super) fn is_ready(&self, index: usize) -> bool {
        matches!(self.state().slots.get(index), Some(Slot::Ready(_)))
    }

    /// The directories of all layers below `index`, top-most first, when all of them are there.
    pub(super) fn wait_below(&self, index: usize) -> std::result::Result<Vec<Arc<OwnedFd>>, LayerError> {
        let mut state = self.state();
        loop {
            // After a failure, wherever it was, layers below may stay unmade.
            if state.is_over() {
                return Err(LayerError::Cancelled);
            }
            let below: Vec<Arc<OwnedFd>> = state
                .slots
                .iter()
                .take(index)
                .rev()
                .filter_map(|slot| match slot {
                    Slot::Ready(ready) => Some(Arc::clone(&ready.diff)),
                    _ => None,
                })
                .collect();
            if below.len() == index {
                return Ok(below);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The failure that was not caused by another one, if there was one; the lowest of several.
    pub(super) fn failure(&self) -> Result<()> {
        for slot in &mut self.state().slots {
            match std::mem::replace(slot, Slot::Unknown) {
                Slot::Failed(Error::Layer { layer, source: LayerError::Cancelled }) => {
                    *slot = Slot::Failed(Error::Layer { layer, source: LayerError::Cancelled });
                }
                Slot::Failed(error) => return Err(error),
                other => *slot = other,
            }
        }
        Ok(())
    }

    /// Takes the new layers whose time for a name has come: those that have only whole ones below.
    pub(super) fn take_fresh(&self) -> Vec<Nameless> {
        let mut found = Vec::new();
        let mut below: Option<Arc<OwnedFd>> = None;
        for (index, slot) in self.state().slots.iter_mut().enumerate() {
            let Slot::Ready(ready) = slot else { break };
            let diff = Arc::clone(&ready.diff);
            if let Some(fresh) = ready.fresh.take() {
                found.push(Nameless { index, below: below.take(), diff: Arc::clone(&diff), fresh });
            }
            below = Some(diff);
        }
        found
    }

    /// Facts about all layers, bottom first.
    pub(super) fn infos(&self) -> Vec<LayerInfo> {
        let state = self.state();
        let infos = state.slots.iter().filter_map(|slot| match slot {
            Slot::Ready(ready) => Some(ready.info.clone()),
            _ => None,
        });
        infos.collect()
    }
}

/// A new layer on its way to a name.
#[derive(Debug)]
pub(crate) struct Nameless {
    pub(super) index: usize,
    /// The layer below.
    pub(super) below: Option<Arc<OwnedFd>>,
    pub(super) diff: Arc<OwnedFd>,
    pub(super) fresh: Fresh,
}

//! Locks that guests wait for while somebody else holds them.
//!
//! The host cannot tell when a lock of another process is released, and a thread per waiting guest process
//! would let the guest make threads. So one thread tries again: at once when this guest releases something,
//! else after a pause that doubles up to [`LONGEST`]. Refuses more than [`MAX_WAITING`] (ENOLCK).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::server::BlockedLock;
use super::worker::Chain;

const MAX_WAITING: usize = 256;
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(32);
/// Interrupts remembered whose request has not been seen waiting yet.
const MAX_EARLY: usize = 64;

/// A request that waits, with the chain its reply goes into.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) lock: BlockedLock,
    pub(super) chain: Chain,
    /// Index of the request queue it came from.
    pub(super) lane: usize,
}

#[derive(Debug)]
struct State {
    waiting: Vec<Waiting>,
    /// Taken out to be tried; an interrupt for one of them must wait for its return.
    trying: usize,
    early: VecDeque<u64>,
    pause: Duration,
}

#[derive(Debug)]
pub(super) struct Blocked {
    state: Mutex<State>,
}

impl Blocked {
    pub(super) fn new() -> Self {
        let state = State { waiting: Vec::new(), trying: 0, early: VecDeque::new(), pause: SHORTEST };
        Self { state: Mutex::new(state) }
    }

    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.trying == 0
    }

    /// Makes a request wait, unless too many do or it has been interrupted already.
    pub(super) fn add(&self, waiting: Waiting) -> Result<(), (Waiting, Errno)> {
        let mut state = self.lock();
        if state.interrupted_early(waiting.lock.unique) {
            return Err((waiting, Errno::INTR));
        }
        if state.waiting.len() + state.trying >= MAX_WAITING {
            return Err((waiting, Errno::NOLCK));
        }
        state.waiting.push(waiting);
        Ok(())
    }

    /// Takes out the request with this number to be answered with the error. If it is not here it may still
    /// come: the interrupt is remembered.
    pub(super) fn interrupt(&self, unique: u64) -> Option<(Waiting, Errno)> {
        let mut state = self.lock();
        if let Some(at) = state.waiting.iter().position(|waiting| waiting.lock.unique == unique) {
            return Some((state.waiting.swap_remove(at), Errno::INTR));
        }
        if state.early.len() >= MAX_EARLY {
            state.early.pop_front();
        }
        state.early.push_back(unique);
        None
    }

    /// All that wait, to be tried; those that still cannot be granted come back with [`Self::put_back`].
    pub(super) fn take_all(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        let all = std::mem::take(&mut state.waiting);
        state.trying = all.len();
        state.pause = (state.pause * 2).min(LONGEST);
        all
    }

    /// Makes a request wait on; returns it if it was interrupted while it was tried.
    pub(super) fn put_back(&self, waiting: Waiting) -> Option<(Waiting, Errno)> {
        let mut state = self.lock();
        state.trying = state.trying.saturating_sub(1);
        if state.interrupted_early(waiting.lock.unique) {
            return Some((waiting, Errno::INTR));
        }
        state.waiting.push(waiting);
        None
    }

    /// All of [`Self::take_all`] have been tried.
    pub(super) fn tried(&self) {
        self.lock().trying = 0;
    }

    /// How long to wait before the next try; None if nobody waits.
    pub(super) fn pause(&self) -> Option<Duration> {
        let state = self.lock();
        (!state.waiting.is_empty()).then_some(state.pause)
    }

    /// Something was released: tries shall be frequent again.
    pub(super) fn hurry(&self) {
        self.lock().pause = SHORTEST;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn interrupted_early(&mut self, unique: u64) -> bool {
        match self.early.iter().position(|early| *early == unique) {
            Some(at) => self.early.remove(at).is_some(),
            None => false,
        }
    }
}

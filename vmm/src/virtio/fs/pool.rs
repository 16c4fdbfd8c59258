//! Which thread serves which queue.
//!
//! A thread that holds a queue waits for its kicks and serves its requests itself, with no hand-off. Before it
//! waits for a disk it gives the queue to an idle thread, so one slow request does not hold up the others.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    /// Queues that nobody serves, by index.
    unserved: VecDeque<usize>,
    /// Threads that wait for a queue.
    idle: usize,
    stopped: bool,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    change: Condvar,
}

impl Pool {
    pub(super) fn new(queues: usize) -> Self {
        let state = State { unserved: (0..queues).collect(), idle: 0, stopped: false };
        Self { state: Mutex::new(state), change: Condvar::new() }
    }

    /// Waits for a queue to serve; None when all is over.
    pub(super) fn next(&self) -> Option<usize> {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            if state.stopped {
                return None;
            }
            if let Some(queue) = state.unserved.pop_front() {
                state.idle -= 1;
                return Some(queue);
            }
            state = self.change.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives a queue to an idle thread; false if there is none, and the caller keeps it.
    pub(super) fn hand_over(&self, queue: usize) -> bool {
        let mut state = self.lock();
        if state.stopped || state.idle <= state.unserved.len() {
            return false;
        }
        state.unserved.push_back(queue);
        drop(state);
        self.change.notify_one();
        true
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.change.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn queues_go_only_to_idle_threads() {
        let pool = Arc::new(Pool::new(1));
        assert_eq!(pool.next(), Some(0));
        assert!(!pool.hand_over(0));
        let other = {
            let pool = Arc::clone(&pool);
            std::thread::spawn(move || pool.next())
        };
        while !pool.hand_over(0) {
            std::thread::yield_now();
        }
        assert_eq!(other.join().unwrap(), Some(0));
        pool.stop();
        assert_eq!(pool.next(), None);
        assert!(!pool.hand_over(0));
    }
}

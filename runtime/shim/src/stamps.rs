//! The clocks of a start: what happened when, on the host's CLOCK_MONOTONIC.

use std::cell::RefCell;

use rustix::time::{ClockId, clock_gettime};

use crate::wire::Stamp;

/// Collects [`Stamp`]s in the order in which they are made.
#[derive(Debug, Default)]
pub struct Stamps(RefCell<Vec<Stamp>>);

impl Stamps {
    /// `name` happens now.
    pub fn mark(&self, name: &str) {
        let now = clock_gettime(ClockId::Monotonic);
        self.mark_at(name, now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64);
    }

    /// `name` happens now, unless it has happened before.
    pub fn mark_once(&self, name: &str) {
        if !self.0.borrow().iter().any(|stamp| stamp.name == name) {
            self.mark(name);
        }
    }

    /// `name` happened at `at_ns`.
    pub fn mark_at(&self, name: &str, at_ns: u64) {
        self.0.borrow_mut().push(Stamp { name: name.to_owned(), at_ns });
    }

    /// All of them, in the order of time.
    pub fn list(&self) -> Vec<Stamp> {
        let mut stamps = self.0.borrow().clone();
        stamps.sort_by_key(|stamp| stamp.at_ns);
        stamps
    }
}

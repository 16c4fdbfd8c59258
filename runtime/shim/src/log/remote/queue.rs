//! Messages that wait for a daemon: bounded in bytes, new ones are dropped when it is full.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

/// What a message costs besides its bytes.
const OVERHEAD: u64 = 64;

#[derive(Debug)]
pub(super) struct Queue {
    messages: RefCell<VecDeque<Rc<Vec<u8>>>>,
    bytes: Cell<u64>,
    bound: u64,
    dropped: Cell<u64>,
    closed: Cell<bool>,
    /// Something came, or nothing will any more. One task waits.
    changed: Notify,
}

impl Queue {
    pub(super) fn new(bound: u64) -> Queue {
        Queue {
            messages: RefCell::default(),
            bytes: Cell::new(0),
            bound,
            dropped: Cell::new(0),
            closed: Cell::new(false),
            changed: Notify::new(),
        }
    }

    pub(super) fn push(&self, message: Vec<u8>) {
        let cost = message.len() as u64 + OVERHEAD;
        let bytes = self.bytes.get().saturating_add(cost);
        let mut messages = self.messages.borrow_mut();
        // One message always fits.
        if bytes > self.bound && !messages.is_empty() {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        messages.push_back(Rc::new(message));
        self.bytes.set(bytes);
        self.changed.notify_one();
    }

    /// Waits until there is a message; false if there never will be.
    pub(super) async fn filled(&self) -> bool {
        while self.messages.borrow().is_empty() {
            if self.closed.get() {
                return false;
            }
            self.changed.notified().await;
        }
        true
    }

    /// The oldest message; it stays until [`Queue::pop`].
    pub(super) fn first(&self) -> Option<Rc<Vec<u8>>> {
        self.messages.borrow().front().cloned()
    }

    pub(super) fn pop(&self) {
        if let Some(message) = self.messages.borrow_mut().pop_front() {
            self.bytes.set(self.bytes.get() - message.len() as u64 - OVERHEAD);
        }
    }

    /// [`Queue::pop`] of one that cannot be sent.
    pub(super) fn refuse(&self) {
        self.pop();
        self.dropped.set(self.dropped.get() + 1);
    }

    pub(super) fn close(&self) {
        self.closed.set(true);
        self.changed.notify_one();
    }

    /// Waits for [`Queue::close`].
    pub(super) async fn closed(&self) {
        while !self.closed.get() {
            self.changed.notified().await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    pub(super) fn waiting(&self) -> u64 {
        self.messages.borrow().len() as u64
    }
}

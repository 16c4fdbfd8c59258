//! What the control thread and the vCPUs of one machine tell each other.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::Once;
use crate::control::ExitReason;

/// What the vCPUs shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Run,
    Pause,
    Stop,
}

/// Shared by all vCPUs of a machine and its control thread.
#[derive(Debug)]
pub struct Shared {
    request: Mutex<Request>,
    changed: Condvar,
    reason: Mutex<Option<ExitReason>>,
    /// Becomes readable at the first `KVM_RUN` and when a vCPU has stopped.
    news: EventFd,
    first_run: Once,
}

impl Shared {
    /// Begins paused.
    ///
    /// # Errors
    /// If no eventfd can be made.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            request: Mutex::new(Request::Pause),
            changed: Condvar::new(),
            reason: Mutex::new(None),
            news: EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?,
            first_run: Once::default(),
        })
    }

    /// Changes the request; the caller kicks the vCPUs. A stop is final.
    pub fn request(&self, request: Request) {
        let mut current = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != Request::Stop {
            *current = request;
            self.changed.notify_all();
        }
    }

    /// Blocks while paused.
    pub(super) fn wait_until_running(&self) -> Request {
        let guard = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = self
            .changed
            .wait_while(guard, |request| *request == Request::Pause)
            .unwrap_or_else(PoisonError::into_inner);
        *guard
    }

    /// The first reason counts: what follows is its consequence.
    pub fn finish(&self, reason: ExitReason) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.notify();
    }

    /// Why the machine stopped, once it has.
    pub fn reason(&self) -> Option<ExitReason> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time of the first `KVM_RUN`, CLOCK_MONOTONIC nanoseconds.
    pub fn first_run_ns(&self) -> Option<u64> {
        self.first_run.get()
    }

    /// Readable when [`Shared::reason`] or [`Shared::first_run_ns`] has news.
    pub fn news(&self) -> &EventFd {
        &self.news
    }

    pub(super) fn note_first_run(&self) {
        if self.first_run.set() {
            self.notify();
        }
    }

    fn notify(&self) {
        // The counter cannot overflow: it is written a handful of times.
        let _ = self.news.write(1);
    }
}

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
    wish: Mutex<Wish>,
    changed: Condvar,
    reason: Mutex<Option<ExitReason>>,
    /// Becomes readable at the first `KVM_RUN`, when the last vCPU obeys a pause and when a vCPU has stopped.
    news: EventFd,
    first_run: Once,
    vcpus: usize,
}

/// What is wanted, and how far it is done.
#[derive(Debug)]
struct Wish {
    request: Request,
    /// vCPUs that wait for the end of the pause.
    parked: usize,
}

impl Shared {
    /// Of a machine with `vcpus` processors; begins paused.
    ///
    /// # Errors
    /// If no eventfd can be made.
    pub fn new(vcpus: usize) -> io::Result<Self> {
        Ok(Self {
            wish: Mutex::new(Wish { request: Request::Pause, parked: 0 }),
            changed: Condvar::new(),
            reason: Mutex::new(None),
            news: EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?,
            first_run: Once::default(),
            vcpus,
        })
    }

    /// Changes the request; the caller kicks the vCPUs. A stop is final.
    pub fn request(&self, request: Request) {
        let mut wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        if wish.request != Request::Stop {
            wish.request = request;
            self.changed.notify_all();
        }
    }

    /// Whether a pause was asked for and every vCPU obeys it.
    pub fn is_paused(&self) -> bool {
        let wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        wish.request == Request::Pause && wish.parked == self.vcpus
    }

    /// Blocks while paused; says what is wanted then, and whether it had to wait.
    pub(super) fn wait_until_running(&self) -> (Request, bool) {
        let mut wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = wish.request == Request::Pause;
        if waits {
            wish.parked += 1;
            // Before the first run nobody has asked.
            if wish.parked == self.vcpus && self.first_run.get().is_some() {
                self.notify();
            }
            wish = self
                .changed
                .wait_while(wish, |wish| wish.request == Request::Pause)
                .unwrap_or_else(PoisonError::into_inner);
            wish.parked -= 1;
        }
        (wish.request, waits)
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

//! The control thread's one timer. It stands still while the machine is paused.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

/// See the module.
#[derive(Debug)]
pub(super) struct Timer {
    fd: OwnedFd,
    /// When it fires.
    due: Option<Instant>,
    held: bool,
    /// What was left when it was held, if it was set.
    left: Option<Duration>,
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Timer {
    /// Not set.
    ///
    /// # Errors
    /// Of timerfd_create(2).
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { fd, due: None, held: false, left: None })
    }

    /// Makes the file readable after this much time of a machine that runs.
    pub(super) fn set(&mut self, after: Duration) {
        if self.held {
            self.left = Some(after);
        } else {
            self.due = Instant::now().checked_add(after);
            self.arm(after.max(Duration::from_nanos(1)));
        }
    }

    /// It does not fire any more.
    pub(super) fn clear(&mut self) {
        (self.due, self.left) = (None, None);
        self.arm(Duration::ZERO);
    }

    /// Stops its clock. Idempotent.
    pub(super) fn hold(&mut self) {
        if !self.held {
            self.held = true;
            self.left = self.due.take().map(|due| due.saturating_duration_since(Instant::now()));
            self.arm(Duration::ZERO);
        }
    }

    /// Goes on with what was left. Idempotent.
    pub(super) fn release(&mut self) {
        self.held = false;
        if let Some(left) = self.left.take() {
            self.set(left);
        }
    }

    fn arm(&self, after: Duration) {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec { tv_sec: after.as_secs() as i64, tv_nsec: i64::from(after.subsec_nanos()) };
        let timer = Itimerspec { it_interval: zero, it_value: value };
        // Fails only for a value out of range; `validate` bounds the deadline.
        let _ = rustix::time::timerfd_settime(self.fd.as_fd(), TimerfdTimerFlags::empty(), &timer);
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn fired(timer: &Timer, within: Duration) -> bool {
        let timeout = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: i64::from(within.subsec_nanos()) };
        poll(&mut [PollFd::new(&timer.fd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
    }

    #[test]
    fn a_timer_on_hold_does_not_fire_before_it_is_released() {
        let (soon, long) = (Duration::from_millis(1), Duration::from_mins(1));
        let mut timer = Timer::new().unwrap();
        timer.hold();
        timer.set(soon);
        assert!(!fired(&timer, 20 * soon));
        timer.release();
        assert!(fired(&timer, long));
        timer.set(long);
        timer.hold();
        timer.hold();
        timer.release();
        timer.release();
        assert!(!fired(&timer, soon), "what was left is a minute");
        timer.hold();
        timer.clear();
        timer.release();
        assert_eq!(timer.due, None);
        timer.set(Duration::ZERO);
        assert!(fired(&timer, long));
    }
}

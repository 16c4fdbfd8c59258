//! A device's worker thread: an epoll loop over queue kicks and the device's own files, ended by an eventfd.

use std::io;
use std::os::fd::AsRawFd;
use std::thread::JoinHandle;
use std::time::Instant;

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::thread::{self, ThreadKind};

const EXIT: u64 = u64::MAX;
const EVENTS_PER_WAIT: usize = 64;

/// What the loop does after [`Service::run`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// There is more to do: look for events without waiting for them.
    Not,
    /// Until an event.
    Event,
    /// Until an event or this time.
    Until(Instant),
}

/// The work of one thread. `run` does a bounded amount, so that new events and the end are always noticed.
pub(crate) trait Service: Send + 'static {
    /// Registers the files to wait for. Called once, before the thread exists.
    ///
    /// # Errors
    /// Those of epoll_ctl(2); the worker is not started then.
    fn start(&mut self, epoll: &Epoll) -> io::Result<()>;
    /// One ready file; `token` is what it was registered with (not `u64::MAX`).
    fn event(&mut self, epoll: &Epoll, token: u64, events: EventSet);
    /// Called at the thread's start, then after each batch of events.
    fn run(&mut self, epoll: &Epoll) -> Wait;
}

/// A running thread; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Worker {
    exit: EventFd,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts `service` on a thread of its own.
    ///
    /// # Errors
    /// If the process has no more files or threads.
    pub(crate) fn spawn(kind: ThreadKind, name: &str, mut service: impl Service) -> io::Result<Self> {
        let exit = EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?;
        let epoll = Epoll::new()?;
        watch(&epoll, &exit, EXIT)?;
        service.start(&epoll)?;
        let thread = thread::spawn(kind, name, move || run(&epoll, &mut service))?;
        Ok(Self { exit, thread: Some(thread) })
    }

    /// Ends the thread and waits for it; what its service owned is gone then. Idempotent.
    pub(crate) fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The counter cannot overflow with one write; a panic of the thread is reported by the panic hook.
            let _ = self.exit.write(1);
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Registers a file for level-triggered input.
pub(crate) fn watch(epoll: &Epoll, file: &impl AsRawFd, token: u64) -> io::Result<()> {
    epoll.ctl(ControlOperation::Add, file.as_raw_fd(), EpollEvent::new(EventSet::IN, token))
}

/// Registers a file for edge-triggered events: each is told once, however long it stays true.
pub(crate) fn watch_edges(
    epoll: &Epoll,
    file: &impl AsRawFd,
    events: EventSet,
    token: u64,
) -> io::Result<()> {
    let event = EpollEvent::new(events | EventSet::EDGE_TRIGGERED, token);
    epoll.ctl(ControlOperation::Add, file.as_raw_fd(), event)
}

fn run(epoll: &Epoll, service: &mut impl Service) {
    let mut events = [EpollEvent::default(); EVENTS_PER_WAIT];
    let mut wait = service.run(epoll);
    loop {
        let count = match epoll.wait(timeout(wait), &mut events) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            // EBADF, EFAULT and EINVAL are the others: bugs of ours that waiting would turn into a busy loop.
            Err(_) => return,
        };
        for event in events.iter().take(count) {
            if event.data() == EXIT {
                return;
            }
            service.event(epoll, event.data(), event.event_set());
        }
        wait = service.run(epoll);
    }
}

/// Milliseconds for epoll_wait(2), rounded up so that a deadline has passed when it returns.
fn timeout(wait: Wait) -> i32 {
    match wait {
        Wait::Not => 0,
        Wait::Event => -1,
        Wait::Until(deadline) => {
            let micros = deadline.saturating_duration_since(Instant::now()).as_micros();
            i32::try_from(micros.div_ceil(1000)).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;

    /// Tells what it is asked to do, and waits as it is told to.
    struct Teller {
        news: Sender<Option<u64>>,
        file: EventFd,
        wait: fn() -> Wait,
    }

    impl Service for Teller {
        fn start(&mut self, epoll: &Epoll) -> io::Result<()> {
            watch(epoll, &self.file, 7)
        }

        fn event(&mut self, _epoll: &Epoll, token: u64, _events: EventSet) {
            self.file.read().unwrap();
            // The test may have heard enough.
            let _ = self.news.send(Some(token));
        }

        fn run(&mut self, _epoll: &Epoll) -> Wait {
            let _ = self.news.send(None);
            (self.wait)()
        }
    }

    fn teller(wait: fn() -> Wait) -> (Worker, std::sync::mpsc::Receiver<Option<u64>>, EventFd) {
        let (news, heard) = channel();
        let file = EventFd::new(EFD_NONBLOCK).unwrap();
        let service = Teller { news, file: file.try_clone().unwrap(), wait };
        (Worker::spawn(ThreadKind::Rng, "teller", service).unwrap(), heard, file)
    }

    #[test]
    fn runs_at_the_start_and_after_each_event_and_stops_for_good() {
        let (mut worker, heard, file) = teller(|| Wait::Event);
        assert_eq!(heard.recv().unwrap(), None);
        for _ in 0..3 {
            file.write(1).unwrap();
            assert_eq!((heard.recv().unwrap(), heard.recv().unwrap()), (Some(7), None));
        }
        worker.stop();
        worker.stop();
        // The service is gone with its thread.
        assert!(heard.recv().is_err());
    }

    #[test]
    fn a_deadline_is_an_event_too() {
        let (_worker, heard, _file) = teller(|| Wait::Until(Instant::now() + Duration::from_millis(1)));
        for _ in 0..3 {
            assert_eq!(heard.recv().unwrap(), None);
        }
    }

    #[test]
    fn a_service_that_never_waits_can_be_stopped() {
        let (mut worker, heard, _file) = teller(|| Wait::Not);
        heard.recv().unwrap();
        worker.stop();
        while heard.recv().is_ok() {}
    }

    #[test]
    fn timeouts_are_rounded_up() {
        assert_eq!(timeout(Wait::Not), 0);
        assert_eq!(timeout(Wait::Event), -1);
        assert_eq!(timeout(Wait::Until(Instant::now())), 0);
        assert_eq!(timeout(Wait::Until(Instant::now() + Duration::from_secs(1 << 40))), i32::MAX);
        assert!(timeout(Wait::Until(Instant::now() + Duration::from_secs(100))) > 99_000);
    }
}

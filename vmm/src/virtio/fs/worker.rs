//! Serves request queues and the high priority queue.

use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vmm_sys_util::eventfd::EventFd;

use super::blocked::{Blocked, Waiting};
use super::chain;
use super::filesystem::{Delay, FsResult};
use super::pool::Pool;
use super::server::{Outcome, Server};
use crate::virtio::{ActiveQueue, GuestRam, Interrupt};

/// Replies that may wait for one interrupt.
const BATCH: usize = 8;

pub(super) type Chain = DescriptorChain<Arc<GuestRam>>;

/// One virtqueue with its doorbells.
#[derive(Debug)]
pub(super) struct Lane {
    queue: Mutex<Queue>,
    kick: EventFd,
    interrupt: Arc<Interrupt>,
    /// The guest wrote nonsense into the ring: it is not looked at again.
    broken: AtomicBool,
}

impl Lane {
    pub(super) fn new(active: ActiveQueue, interrupt: Arc<Interrupt>) -> std::io::Result<Self> {
        let lane = Self {
            queue: Mutex::new(active.queue),
            kick: active.kick,
            interrupt,
            broken: AtomicBool::new(false),
        };
        // Workers sleep in read(2), which saves a poll(2) per kick.
        lane.set_waiting(true)?;
        Ok(lane)
    }

    /// Whether reading the kick waits for one.
    fn set_waiting(&self, waits: bool) -> FsResult<()> {
        // SAFETY: the lane keeps its eventfd open.
        let fd = unsafe { BorrowedFd::borrow_raw(self.kick.as_raw_fd()) };
        let mut flags = rustix::fs::fcntl_getfl(fd)?;
        flags.set(OFlags::NONBLOCK, !waits);
        rustix::fs::fcntl_setfl(fd, flags)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self, memory: &Arc<GuestRam>) -> Option<Chain> {
        if self.broken.load(Ordering::Relaxed) {
            return None;
        }
        let mut queue = self.lock();
        if let Ok(mut chains) = queue.iter(Arc::clone(memory)) {
            return chains.next();
        }
        self.broken.store(true, Ordering::Relaxed);
        None
    }

    fn has_more(&self, memory: &GuestRam) -> bool {
        let queue = self.lock();
        queue.avail_idx(memory, Ordering::Acquire).is_ok_and(|index| index.0 != queue.next_avail())
    }

    /// Returns a chain to the guest with the length of what was written into it.
    fn complete(&self, memory: &GuestRam, head: u16, len: u32) {
        // Fails only for a head outside of the table, which was no chain.
        let _ = self.lock().add_used(memory, head, len);
    }

    fn signal(&self, memory: &GuestRam) {
        if self.lock().needs_notification(memory).unwrap_or(true) {
            self.interrupt.signal_queue();
        }
    }

    /// False if the guest added nothing since; then it will kick.
    fn listen(&self, memory: &GuestRam) -> bool {
        !self.broken.load(Ordering::Relaxed) && self.lock().enable_notification(memory).unwrap_or(false)
    }

    fn ignore_kicks(&self, memory: &GuestRam) {
        // An error means a ring outside of guest memory, which `pop` finds too.
        let _ = self.lock().disable_notification(memory);
    }

    /// Wakes whoever waits for a kick.
    pub(super) fn wake(&self) {
        // The counter overflows only after 2^64 unread kicks.
        let _ = self.kick.write(1);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The transport empties the kick, which is its own too, without wanting to wait.
        let _ = self.set_waiting(false);
    }
}

/// What the threads of a device share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) memory: Arc<GuestRam>,
    pub(super) server: Arc<Server>,
    pub(super) high_priority: Lane,
    pub(super) requests: Vec<Lane>,
    pub(super) pool: Pool,
    pub(super) blocked: Blocked,
    pub(super) stopped: AtomicBool,
}

impl Shared {
    /// A thread that serves request queues until the device stops.
    pub(super) fn serve_requests(&self) {
        while let Some(index) = self.pool.next() {
            let Some(lane) = self.requests.get(index) else { return };
            // What was added before there was a thread has been kicked for: the counter is not lost.
            while self.drain(lane, index) {
                if lane.kick.read().is_err() && lane.broken.load(Ordering::Relaxed) {
                    return;
                }
                if self.stopped.load(Ordering::Acquire) {
                    return;
                }
            }
        }
    }

    /// Serves what is there; false if another thread has taken over the queue meanwhile.
    fn drain(&self, lane: &Lane, index: usize) -> bool {
        loop {
            lane.ignore_kicks(&self.memory);
            let mut unsignalled = 0;
            while let Some(chain) = lane.pop(&self.memory) {
                let owner = Cell::new(true);
                let delay = |delay: Delay| {
                    let worth_it = delay == Delay::Certain || lane.has_more(&self.memory);
                    if owner.get() && worth_it {
                        if unsignalled > 0 {
                            lane.signal(&self.memory);
                        }
                        owner.set(!self.pool.hand_over(index));
                    }
                };
                if self.serve(lane, index, chain, &delay) {
                    unsignalled += 1;
                }
                if self.stopped.load(Ordering::Acquire) {
                    return true;
                }
                if !owner.get() {
                    lane.signal(&self.memory);
                    return false;
                }
                if unsignalled >= BATCH {
                    lane.signal(&self.memory);
                    unsignalled = 0;
                }
            }
            if unsignalled > 0 {
                lane.signal(&self.memory);
            }
            if !lane.listen(&self.memory) {
                return true;
            }
        }
    }

    /// Serves one request; true if it is completed.
    fn serve(&self, lane: &Lane, index: usize, chain: Chain, delay: &dyn Fn(Delay)) -> bool {
        let head = chain.head_index();
        let outcome = match chain::split(chain.clone(), &self.memory) {
            Some((input, output)) => self.server.handle(&input, &output, delay),
            None => Outcome::Done(0),
        };
        let len = match outcome {
            Outcome::Done(len) => len,
            Outcome::Interrupted(unique) => {
                self.finish_interrupted(unique);
                0
            }
            Outcome::Blocked(lock) => match self.blocked.add(Waiting { lock, chain, lane: index }) {
                Ok(()) => {
                    // The lock may have been released since it was tried.
                    self.high_priority.wake();
                    return false;
                }
                Err((waiting, errno)) => self.reply(&waiting, |output| Server::give_up(&lock, errno, output)),
            },
        };
        lane.complete(&self.memory, head, len);
        if self.server.take_released() && !self.blocked.is_empty() {
            self.high_priority.wake();
        }
        true
    }

    fn reply(&self, waiting: &Waiting, write: impl FnOnce(&super::buffers::Buffers<'_>) -> u32) -> u32 {
        // The guest may have changed the descriptors meanwhile; they are checked again.
        chain::split(waiting.chain.clone(), &self.memory).map_or(0, |(_, output)| write(&output))
    }

    fn finish_interrupted(&self, unique: u64) {
        if let Some((waiting, errno)) = self.blocked.interrupt(unique) {
            let len = self.reply(&waiting, |output| Server::give_up(&waiting.lock, errno, output));
            self.complete_waiting(&waiting, len);
        }
    }

    fn complete_waiting(&self, waiting: &Waiting, len: u32) {
        if let Some(lane) = self.requests.get(waiting.lane) {
            lane.complete(&self.memory, waiting.chain.head_index(), len);
            lane.signal(&self.memory);
        }
    }

    /// The thread of the high priority queue: FORGET and INTERRUPT, and locks that others hold.
    pub(super) fn serve_high_priority(&self) {
        let lane = &self.high_priority;
        while !self.stopped.load(Ordering::Acquire) {
            loop {
                lane.ignore_kicks(&self.memory);
                let mut completed = false;
                while let Some(chain) = lane.pop(&self.memory) {
                    completed |= self.serve_control(lane, chain);
                }
                if completed {
                    lane.signal(&self.memory);
                }
                if !lane.listen(&self.memory) {
                    break;
                }
            }
            if self.wait_for_kick(lane) {
                self.blocked.hurry();
            }
            self.retry_locks();
        }
    }

    fn serve_control(&self, lane: &Lane, chain: Chain) -> bool {
        let head = chain.head_index();
        let outcome = match chain::split(chain, &self.memory) {
            Some((input, output)) => self.server.handle(&input, &output, &|_| ()),
            None => Outcome::Done(0),
        };
        let len = match outcome {
            Outcome::Done(len) => len,
            Outcome::Interrupted(unique) => {
                self.finish_interrupted(unique);
                0
            }
            // Locks belong on request queues; here nothing may wait.
            Outcome::Blocked(_) => 0,
        };
        lane.complete(&self.memory, head, len);
        true
    }

    /// True if there was a kick, false if it is only time to try the locks again.
    fn wait_for_kick(&self, lane: &Lane) -> bool {
        if let Some(pause) = self.blocked.pause() {
            // SAFETY: the lane keeps its eventfd open.
            let fd = unsafe { BorrowedFd::borrow_raw(lane.kick.as_raw_fd()) };
            let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(pause.subsec_nanos()) };
            let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
            if !matches!(poll(&mut fds, Some(&timeout)), Ok(1)) {
                return false;
            }
        }
        lane.kick.read().is_ok()
    }

    fn retry_locks(&self) {
        for waiting in self.blocked.take_all() {
            let reply = chain::split(waiting.chain.clone(), &self.memory)
                .map_or(Some(0), |(_, output)| self.server.retry(&waiting.lock, &output));
            match reply {
                Some(len) => self.complete_waiting(&waiting, len),
                None => {
                    if let Some((waiting, errno)) = self.blocked.put_back(waiting) {
                        let len =
                            self.reply(&waiting, |output| Server::give_up(&waiting.lock, errno, output));
                        self.complete_waiting(&waiting, len);
                    }
                }
            }
        }
        self.blocked.tried();
    }
}

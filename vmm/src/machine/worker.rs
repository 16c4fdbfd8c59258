//! The thread on which devices start and stop.
//!
//! A device starts its own threads, which inherit the capabilities and the seccomp filter of the thread that starts
//! them. A vCPU's are far too narrow for that; this thread has what all devices together need, and runs no code on
//! data of the guest.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use crate::{jail, seccomp, thread};

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs, elsewhere or here.
#[derive(Debug, Clone)]
pub struct Worker(Option<Sender<Job>>);

impl Worker {
    /// Jobs run on the thread that asks for them: for tests of a single device.
    pub fn inline() -> Self {
        Self(None)
    }

    /// Starts the thread; it ends when the last clone is gone.
    ///
    /// # Errors
    /// If the kernel has no room for another thread.
    pub fn start() -> io::Result<(Self, JoinHandle<()>)> {
        let (sender, jobs) = channel::<Job>();
        let thread = Builder::new().name("devices".to_owned()).stack_size(256 * 1024).spawn(move || {
            if thread::confined() {
                jail::privileges::enter_device_starter();
                seccomp::enter(seccomp::Filter::DeviceStarter);
            }
            for job in jobs {
                job();
            }
        })?;
        Ok((Self(Some(sender)), thread))
    }

    /// Runs `job` and waits for its result; `None` if the thread is gone.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let Some(jobs) = &self.0 else { return Some(job()) };
        let (answer, result) = channel();
        let job: Job = Box::new(move || {
            // Whoever asked waits for it.
            let _ = answer.send(job());
        });
        jobs.send(job).ok()?;
        result.recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_on_the_thread_and_answer() {
        let (worker, thread) = Worker::start().unwrap();
        let name = worker.run(|| std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(name.as_deref(), Some("devices"));
        drop(worker);
        thread.join().unwrap();
        assert_eq!(Worker::inline().run(|| 7), Some(7));
    }
}

//! One thread per virtual processor: run, dispatch the exit, run again.
//!
//! The first vCPU that has a reason to stop reports it through [`Shared`]; the control thread then stops the others.

mod exits;
mod kick;
mod state;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use kvm_ioctls::VcpuFd;
use vmm_sys_util::signal::Killable;

use crate::bus::Bus;
use crate::thread::{self, ThreadKind};

pub use state::{Request, Shared};

/// What a vCPU's exits are dispatched to.
#[derive(Debug, Default)]
pub struct Buses {
    pub ports: Bus,
    pub mmio: Bus,
}

/// A running vCPU thread.
#[derive(Debug)]
pub struct Handle {
    thread: JoinHandle<()>,
}

impl Handle {
    /// Makes the thread look at [`Shared`]'s request now, wherever it is.
    pub fn kick(&self) {
        if !self.thread.is_finished() {
            // A thread that ended in between has nothing left to stop.
            let _ = self.thread.kill(kick::signal());
        }
    }

    /// Waits for the thread's end; call after a stop request and [`Handle::kick`].
    pub fn join(self) {
        // A panic of the thread was reported by the panic hook.
        let _ = self.thread.join();
    }
}

/// Starts vCPU `id` and registers the kick signal's handler, once per process; it waits for [`Shared::resume`] or a stop before its first instruction.
///
/// # Errors
/// If the kernel has no room for another thread.
pub fn spawn(id: u8, mut vcpu: VcpuFd, buses: Arc<Buses>, shared: Arc<Shared>) -> io::Result<Handle> {
    kick::install();
    let thread = thread::spawn(ThreadKind::Vcpu, &format!("vcpu{id}"), move || {
        run(&mut vcpu, &buses, &shared);
    })?;
    Ok(Handle { thread })
}

/// CLOCK_MONOTONIC, nanoseconds.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn run(vcpu: &mut VcpuFd, buses: &Buses, shared: &Shared) {
    let _registration = kick::Registration::new(vcpu);
    loop {
        match shared.wait_until_running() {
            (Request::Stop, _) => return,
            (Request::Run | Request::Pause, waited) => {
                if waited && shared.first_run_ns().is_some() {
                    // Tells the guest's watchdogs that the time was not spent in a loop. A guest without a KVM clock has
                    // nowhere to be told.
                    let _ = vcpu.kvmclock_ctrl();
                }
            }
        }
        shared.note_first_run();
        if let Some(reason) = exits::run_until_exit(vcpu, buses) {
            shared.finish(reason);
            return;
        }
    }
}

/// Monotonic time of an event that happens once; 0 = not yet.
#[derive(Debug, Default)]
struct Once(AtomicU64);

impl Once {
    /// Stores the time if this is the first call.
    fn set(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
            && self.0.compare_exchange(0, monotonic_ns(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn get(&self) -> Option<u64> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            ns => Some(ns),
        }
    }
}

//! One system call filter per kind of thread: what is not in its table ends the process, with a report.
//!
//! The tables hold what the thread needs after it has started. No table allows execve, open, or memory that is both
//! written and executed.

mod balloon;
mod base;
mod block;
mod bpf;
mod control;
mod fs;
mod net;
mod report;
mod rng;
mod rule;
mod starter;
mod vcpu;
mod vsock;

use std::process;

use rustix::thread::set_no_new_privs;

use crate::thread::ThreadKind;
use rule::Rule;

pub use report::to_owner as report_to_owner;

/// Whose filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    Thread(ThreadKind),
    /// The thread on which devices start their own threads, which inherit its filter.
    DeviceStarter,
    Control,
}

impl Filter {
    fn label(self) -> &'static str {
        match self {
            Self::Thread(ThreadKind::Vcpu) => "vcpu",
            Self::Thread(ThreadKind::Fs) => "fs",
            Self::Thread(ThreadKind::Vsock) => "vsock",
            Self::Thread(ThreadKind::Net) => "net",
            Self::Thread(ThreadKind::Block) => "block",
            Self::Thread(ThreadKind::Rng) => "rng",
            Self::Thread(ThreadKind::Balloon) => "balloon",
            Self::DeviceStarter => "device starter",
            Self::Control => "control",
        }
    }
}

/// All kinds of threads that a device starts.
const DEVICE_KINDS: [ThreadKind; 6] = [
    ThreadKind::Fs,
    ThreadKind::Vsock,
    ThreadKind::Net,
    ThreadKind::Block,
    ThreadKind::Rng,
    ThreadKind::Balloon,
];

fn own_rules(kind: ThreadKind) -> &'static [Rule] {
    match kind {
        ThreadKind::Vcpu => vcpu::RULES,
        ThreadKind::Fs => fs::RULES,
        ThreadKind::Vsock => vsock::RULES,
        ThreadKind::Net => net::RULES,
        ThreadKind::Block => block::RULES,
        ThreadKind::Rng => rng::RULES,
        ThreadKind::Balloon => balloon::RULES,
    }
}

fn tables(filter: Filter) -> Vec<&'static [Rule]> {
    match filter {
        Filter::Thread(kind) => vec![base::RULES, own_rules(kind)],
        Filter::Control => vec![base::RULES, control::RULES],
        Filter::DeviceStarter => {
            let mut tables = vec![base::RULES, starter::RULES];
            tables.extend(DEVICE_KINDS.map(own_rules));
            tables
        }
    }
}

/// The program of a filter; everything outside its tables raises SIGSYS.
fn compile(filter: Filter) -> Vec<libc::sock_filter> {
    bpf::compile(tables(filter).into_iter().flatten())
}

/// Puts the calling thread under `filter`; aborts the process if that fails.
pub fn enter(filter: Filter) {
    report::install(filter.label());
    let installed = set_no_new_privs(true).map_err(Into::into).and_then(|()| bpf::install(&compile(filter)));
    if let Err(error) = installed {
        eprintln!("sandbox-vmm: cannot install a seccomp filter: {error}");
        process::abort();
    }
}

#[cfg(test)]
mod tests;

//! Seccomp: the OCI profile compiled to a BPF filter by code of our own.
//!
//! One filter holds all instruction sets of the profile. Numbers are found by binary search, runs of
//! numbers with the same action are one leaf, so that Docker's profile costs about nine comparisons
//! (and nothing for plain ALLOWs, which the kernel keeps in a bitmap since 5.11).

mod bpf;
mod compile;
mod load;
pub(crate) mod notify;
mod syscalls;
#[cfg(test)]
mod tests;

pub(crate) use compile::compile;

/// A compiled filter, ready for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) program: Vec<bpf::Instruction>,
    /// SECCOMP_FILTER_FLAG_*.
    pub(crate) flags: u32,
    /// Whether an action of it is SCMP_ACT_NOTIFY.
    pub(crate) notifies: bool,
}

//! The x86_64 machine as the guest kernel finds it: memory map, PVH start state, processor identification.

pub mod boot;
pub mod cpuid;
pub mod layout;
pub mod mptable;
pub mod msr;
pub mod registers;

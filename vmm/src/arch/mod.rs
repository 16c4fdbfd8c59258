//! What differs between processor architectures. Only x86_64 so far: the guest kernel is built for it alone.

mod x86_64;

pub use x86_64::{boot, cpuid, layout, mptable, msr, registers};

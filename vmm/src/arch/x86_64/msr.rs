//! Model specific registers that a firmware would have set.

use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::VcpuFd;

const IA32_MISC_ENABLE: u32 = 0x1a0;
const MISC_ENABLE_FAST_STRINGS: u64 = 1;
const MTRR_DEF_TYPE: u32 = 0x2ff;
const MTRR_ENABLE: u64 = 1 << 11;
const MTRR_WRITE_BACK: u64 = 6;

/// Enables fast string operations, and write-back memory by default: with the MTRRs off Linux gives up PAT.
///
/// The system call MSRs and the TSC keep KVM's reset values, which are what a kernel expects.
///
/// # Errors
/// If KVM refuses a value.
pub fn setup(vcpu: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let entry = |index, data| kvm_msr_entry { index, data, ..Default::default() };
    let entries = [
        entry(IA32_MISC_ENABLE, MISC_ENABLE_FAST_STRINGS),
        entry(MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_WRITE_BACK),
    ];
    let msrs = Msrs::from_entries(&entries).map_err(|_| kvm_ioctls::Error::new(libc::E2BIG))?;
    if vcpu.set_msrs(&msrs)? == entries.len() { Ok(()) } else { Err(kvm_ioctls::Error::new(libc::EINVAL)) }
}

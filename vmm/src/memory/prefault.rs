//! Fills second level page tables ahead of the guest, where KVM can (Linux 6.10,
//! Documentation/virt/kvm/api.rst, KVM_PRE_FAULT_MEMORY): one system call instead of an exit for each page of kernel
//! code. Only an optimization: a host that cannot do it takes the faults.

use std::ops::Range;

use kvm_bindings::{KVM_CAP_PRE_FAULT_MEMORY, KVMIO, kvm_pre_fault_memory};
use kvm_ioctls::{Kvm, VcpuFd};
use vmm_sys_util::ioctl::ioctl_with_mut_ref;
use vmm_sys_util::ioctl_iowr_nr;

ioctl_iowr_nr!(KVM_PRE_FAULT_MEMORY, KVMIO, 0xd5, kvm_pre_fault_memory);

/// Maps the guest physical `ranges`, page aligned, as far as KVM goes along.
pub fn prefault(kvm: &Kvm, vcpu: &VcpuFd, ranges: &[Range<u64>]) {
    if kvm.check_extension_raw(KVM_CAP_PRE_FAULT_MEMORY.into()) <= 0 {
        return;
    }
    for range in ranges {
        let mut request =
            kvm_pre_fault_memory { gpa: range.start, size: range.end - range.start, ..Default::default() };
        while request.size > 0 {
            // SAFETY: a vCPU's file; KVM reads and updates the structure that is passed.
            let result = unsafe { ioctl_with_mut_ref(vcpu, KVM_PRE_FAULT_MEMORY(), &mut request) };
            let interrupted =
                || matches!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINTR | libc::EAGAIN));
            if result < 0 && !interrupted() {
                return;
            }
        }
    }
}

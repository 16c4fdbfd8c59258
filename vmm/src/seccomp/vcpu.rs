//! vCPU threads: KVM_RUN, eventfds, and the registers for an error report.

use libc::SYS_ioctl;

use super::rule::{Rule, allow_if};

const KVM_RUN: u32 = 0xae80;
const KVM_GET_REGS: u32 = 0x8090_ae81;
const KVM_GET_SREGS: u32 = 0x8138_ae83;
const KVM_KVMCLOCK_CTRL: u32 = 0xaead;

pub(super) const RULES: &[Rule] = &[
    allow_if(SYS_ioctl, 1, KVM_RUN),
    allow_if(SYS_ioctl, 1, KVM_GET_REGS),
    allow_if(SYS_ioctl, 1, KVM_GET_SREGS),
    // After a pause.
    allow_if(SYS_ioctl, 1, KVM_KVMCLOCK_CTRL),
];

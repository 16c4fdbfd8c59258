//! Network devices: frames from and to a tap that is open already.

use libc::{SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_wait, SYS_ioctl, SYS_readv, SYS_writev};

use super::rule::{Rule, allow, allow_if};

const TUNSETOFFLOAD: u32 = 0x4004_54d0;
const TUNSETVNETHDRSZ: u32 = 0x4004_54d8;

pub(super) const RULES: &[Rule] = &[
    allow(SYS_epoll_wait),
    allow(SYS_epoll_pwait),
    allow(SYS_epoll_ctl),
    allow(SYS_readv),
    allow(SYS_writev),
    allow_if(SYS_ioctl, 1, TUNSETOFFLOAD),
    allow_if(SYS_ioctl, 1, TUNSETVNETHDRSZ),
];

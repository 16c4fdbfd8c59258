//! The control thread: its event loop and the owner's socket. Kicks are signals, which every thread may send.

use libc::{
    SYS_epoll_pwait, SYS_epoll_pwait2, SYS_epoll_wait, SYS_recvfrom, SYS_sendto, SYS_timerfd_settime,
};

use super::rule::{Rule, allow};

pub(super) const RULES: &[Rule] = &[
    allow(SYS_epoll_wait),
    allow(SYS_epoll_pwait),
    allow(SYS_epoll_pwait2),
    allow(SYS_recvfrom),
    allow(SYS_sendto),
    allow(SYS_timerfd_settime),
];

//! vsock: unix sockets of the host, and no others.

use libc::{
    AF_UNIX, SYS_accept4, SYS_connect, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_wait,
    SYS_fcntl, SYS_getsockopt, SYS_ioctl, SYS_readv, SYS_recvfrom, SYS_recvmsg, SYS_sendmsg, SYS_sendto,
    SYS_setsockopt, SYS_shutdown, SYS_socket, SYS_writev,
};

use super::rule::{Rule, allow, allow_if};

const FIONBIO: u32 = 0x5421;
const FIONREAD: u32 = 0x541b;

pub(super) const RULES: &[Rule] = &[
    allow(SYS_epoll_create1),
    allow(SYS_epoll_ctl),
    allow(SYS_epoll_wait),
    allow(SYS_epoll_pwait),
    allow_if(SYS_socket, 0, AF_UNIX as u32),
    allow(SYS_connect),
    allow(SYS_accept4),
    allow(SYS_shutdown),
    allow(SYS_getsockopt),
    allow(SYS_setsockopt),
    allow(SYS_readv),
    allow(SYS_writev),
    allow(SYS_recvfrom),
    allow(SYS_recvmsg),
    allow(SYS_sendto),
    allow(SYS_sendmsg),
    allow(SYS_fcntl),
    allow_if(SYS_ioctl, 1, FIONBIO),
    allow_if(SYS_ioctl, 1, FIONREAD),
];

//! Disks: positioned reads and writes of files that are open already.

use libc::{
    SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_wait, SYS_fallocate, SYS_fdatasync, SYS_fstat, SYS_fsync,
    SYS_ioctl, SYS_lseek, SYS_pread64, SYS_preadv, SYS_preadv2, SYS_pwrite64, SYS_pwritev, SYS_pwritev2,
    SYS_readv, SYS_writev,
};

use super::rule::{Rule, allow, allow_if};

/// Discard on block devices.
const BLKDISCARD: u32 = 0x1277;
const BLKZEROOUT: u32 = 0x127f;

pub(super) const RULES: &[Rule] = &[
    allow(SYS_epoll_wait),
    allow(SYS_epoll_pwait),
    allow(SYS_epoll_ctl),
    allow(SYS_pread64),
    allow(SYS_pwrite64),
    allow(SYS_readv),
    allow(SYS_writev),
    allow(SYS_preadv),
    allow(SYS_pwritev),
    allow(SYS_preadv2),
    allow(SYS_pwritev2),
    allow(SYS_lseek),
    allow(SYS_fstat),
    allow(SYS_fsync),
    allow(SYS_fdatasync),
    allow(SYS_fallocate),
    allow_if(SYS_ioctl, 1, BLKDISCARD),
    allow_if(SYS_ioctl, 1, BLKZEROOUT),
];

//! The thread that starts devices: new threads, what they do before their own filter, and the devices' files.

use libc::{
    PR_SET_NAME, PR_SET_NO_NEW_PRIVS, SYS_capget, SYS_capset, SYS_clone, SYS_clone3, SYS_epoll_create1,
    SYS_epoll_ctl, SYS_eventfd2, SYS_fcntl, SYS_prctl, SYS_rseq, SYS_rt_sigaction, SYS_sched_getaffinity,
    SYS_seccomp, SYS_set_robust_list,
};

use super::rule::{Rule, allow, allow_if};

pub(super) const RULES: &[Rule] = &[
    allow(SYS_clone),
    allow(SYS_clone3),
    allow(SYS_rseq),
    allow(SYS_set_robust_list),
    allow(SYS_sched_getaffinity),
    allow_if(SYS_prctl, 0, PR_SET_NAME as u32),
    allow_if(SYS_prctl, 0, PR_SET_NO_NEW_PRIVS as u32),
    allow(SYS_capget),
    allow(SYS_capset),
    allow(SYS_rt_sigaction),
    allow(SYS_seccomp),
    allow(SYS_epoll_create1),
    allow(SYS_epoll_ctl),
    allow(SYS_eventfd2),
    allow(SYS_fcntl),
];

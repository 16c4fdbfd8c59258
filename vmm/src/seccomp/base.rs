//! What every thread needs: memory, locks, its files, time, and its end.

use libc::{
    F_GETFD, PROT_EXEC, SYS_brk, SYS_clock_gettime, SYS_clock_nanosleep, SYS_close, SYS_exit, SYS_exit_group,
    SYS_fcntl, SYS_futex, SYS_getpid, SYS_getrandom, SYS_gettid, SYS_madvise, SYS_mmap, SYS_mprotect,
    SYS_mremap, SYS_munmap, SYS_read, SYS_restart_syscall, SYS_rt_sigprocmask, SYS_rt_sigreturn,
    SYS_sched_yield, SYS_sigaltstack, SYS_tgkill, SYS_write,
};

use super::rule::{Rule, allow, allow_if, allow_without};

pub(super) const RULES: &[Rule] = &[
    allow(SYS_read),
    allow(SYS_write),
    allow(SYS_close),
    // Debug builds look whether a file that they close is open.
    allow_if(SYS_fcntl, 1, F_GETFD as u32),
    allow(SYS_futex),
    allow(SYS_restart_syscall),
    // The allocator's and the threads' stacks.
    allow_without(SYS_mmap, 2, PROT_EXEC as u32),
    allow_without(SYS_mprotect, 2, PROT_EXEC as u32),
    allow(SYS_mremap),
    allow(SYS_munmap),
    allow(SYS_madvise),
    allow(SYS_brk),
    // Hash maps' seeds.
    allow(SYS_getrandom),
    // Where the vDSO cannot answer.
    allow(SYS_clock_gettime),
    allow(SYS_clock_nanosleep),
    allow(SYS_sched_yield),
    // The end of a thread, abort included.
    allow(SYS_sigaltstack),
    allow(SYS_rt_sigprocmask),
    allow(SYS_rt_sigreturn),
    allow(SYS_getpid),
    allow(SYS_gettid),
    allow(SYS_tgkill),
    allow(SYS_exit),
    allow(SYS_exit_group),
];

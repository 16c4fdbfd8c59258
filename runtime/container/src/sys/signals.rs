//! Signal dispositions and masks of a child that is going to exec.

/// `struct sigaction` of the kernel: handler, flags, restorer, mask.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Back to what a process that nobody has touched has: every disposition default, nothing blocked.
/// Ignored signals would survive exec otherwise (Rust programs ignore SIGPIPE). The C library would leave out the two
/// signals that it keeps for itself.
pub(crate) fn reset() {
    let default = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    for signal in 1..=64 {
        let (action, size) = (std::ptr::from_ref(&default) as usize, size_of::<u64>());
        // SAFETY: a live action with the default handler; SIGKILL and SIGSTOP answer EINVAL, which is fine.
        let _ = unsafe { super::syscall(libc::SYS_rt_sigaction, [signal, action, 0, size, 0]) };
    }
    set_mask(false);
}

/// Blocks all signals or none.
pub(crate) fn set_mask(block: bool) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    if block {
        // SAFETY: fills the set it is given.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
    } else {
        // SAFETY: empties the set it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    }
    // SAFETY: the set was initialised above; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
}

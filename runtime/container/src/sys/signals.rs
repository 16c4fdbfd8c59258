//! Signal dispositions and masks of a child that is going to exec.

/// Back to what a process that nobody has touched has: every disposition default, nothing blocked.
/// Ignored signals would survive exec otherwise (Rust programs ignore SIGPIPE).
pub(crate) fn reset() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid disposition; signals that cannot be set answer EINVAL, which is fine.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
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

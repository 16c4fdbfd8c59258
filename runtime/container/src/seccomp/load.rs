//! Hands a compiled filter to the kernel.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::Filter;
use crate::error::{Context, Error};
use crate::sys;

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    filter: *const super::bpf::Instruction,
}

impl Filter {
    /// Puts this process under the filter for good. Needs no_new_privs or CAP_SYS_ADMIN in the user namespace.
    /// Returns the listener when an action is NOTIFY.
    pub(crate) fn load(&self) -> Result<Option<OwnedFd>, Error> {
        let mut flags = self.flags;
        if self.notifies {
            flags |= libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
        }
        let program = Program { length: self.program.len() as u16, filter: self.program.as_ptr() };
        let load = |flags: u32| {
            // SAFETY: `program` points to a live array of `length` instructions; the kernel copies it.
            unsafe {
                sys::syscall3(
                    libc::SYS_seccomp,
                    libc::SECCOMP_SET_MODE_FILTER as usize,
                    flags as usize,
                    std::ptr::from_ref(&program) as usize,
                )
            }
        };
        let loaded = match load(flags) {
            // A kernel older than a flag: the flags only tune, the listener is what cannot be left out.
            Err(Errno::INVAL) if flags & !(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32) != 0 => {
                load(flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32)
            }
            other => other,
        };
        let result = loaded.context(|| "load the seccomp filter")?;
        // SAFETY: with NEW_LISTENER a result that is not an error is a new descriptor that nobody else owns.
        Ok(self.notifies.then(|| unsafe { OwnedFd::from_raw_fd(result as i32) }))
    }
}

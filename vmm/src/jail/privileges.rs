//! Capabilities of each thread and the identity of the process.
//!
//! Linux keeps capabilities per thread. Only the virtio-fs workers keep some, since a file server acts as every
//! user of the guest; they get them from the thread that starts devices. Everybody else has none.

use std::io;
use std::process;

use crate::thread::ThreadKind;

const CAP_CHOWN: u32 = 0;
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_FOWNER: u32 = 3;
const CAP_FSETID: u32 = 4;
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_MKNOD: u32 = 27;
const CAP_SETFCAP: u32 = 31;

/// What serving files as any user takes (capabilities(7)).
const FILE_SERVER: u64 = 1 << CAP_CHOWN
    | 1 << CAP_DAC_OVERRIDE
    | 1 << CAP_DAC_READ_SEARCH
    | 1 << CAP_FOWNER
    | 1 << CAP_FSETID
    | 1 << CAP_SETGID
    | 1 << CAP_SETUID
    | 1 << CAP_MKNOD
    | 1 << CAP_SETFCAP;

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives the calling thread, new and of the given kind, what it needs; aborts the process if that fails.
pub(crate) fn enter(kind: ThreadKind) {
    let wanted = if kind == ThreadKind::Fs { FILE_SERVER } else { 0 };
    or_abort(limit(wanted, wanted));
}

/// The thread that starts devices passes the file server's capabilities on and uses none.
pub(crate) fn enter_device_starter() {
    or_abort(limit(0, FILE_SERVER));
}

/// The calling thread gives up everything.
///
/// # Errors
/// Those of capset(2).
pub(super) fn drop_all() -> io::Result<()> {
    limit(0, 0)
}

/// The calling thread keeps what file servers need, if there are any, for the threads it starts.
///
/// # Errors
/// Those of capset(2).
pub(super) fn keep_for_file_server(needed: bool) -> io::Result<()> {
    let wanted = if needed { FILE_SERVER } else { 0 };
    limit(wanted, wanted)
}

/// `SECBIT_NO_SETUID_FIXUP` (capabilities(7)): changes of the user leave capabilities alone. The file server
/// changes its user for each request and would otherwise have to restore them.
const NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;

/// Becomes `uid` and `gid` without other groups; capabilities stay permitted for [`keep_for_file_server`].
///
/// Only for a process with one thread: the system calls change the calling thread alone.
///
/// # Errors
/// Those of prctl(2), setgroups(2), setresgid(2) and setresuid(2).
pub(super) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    check(|| {
        // SAFETY: plain numbers.
        unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) }
    })
    .or_else(|_| {
        // Without CAP_SETPCAP: the permitted capabilities at least survive this one change.
        check(|| {
            // SAFETY: plain numbers.
            unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }
        })
    })?;
    check(|| {
        // SAFETY: an empty list is not read.
        unsafe { libc::syscall(libc::SYS_setgroups, 0, 0) }
    })?;
    check(|| {
        // SAFETY: plain numbers.
        unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }
    })?;
    check(|| {
        // SAFETY: plain numbers.
        unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }
    })
}

/// Sets the calling thread's capabilities to what of the wanted ones it is permitted.
fn limit(effective: u64, permitted: u64) -> io::Result<()> {
    let have = permitted_now()?;
    let (effective, permitted) = (effective & have, permitted & have);
    let header = Header { version: VERSION, pid: 0 };
    let word = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: 0,
    };
    let data = [word(0), word(32)];
    check(|| {
        // SAFETY: version 3 reads a header and two data structures.
        unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }
    })
}

fn permitted_now() -> io::Result<u64> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    check(|| {
        // SAFETY: version 3 writes at most a header and two data structures.
        unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) }
    })?;
    Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32)
}

fn check(call: impl FnOnce() -> libc::c_long) -> io::Result<()> {
    if call() == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn or_abort(result: io::Result<()>) {
    if let Err(error) = result {
        eprintln!("sandbox-vmm: cannot set the capabilities of a thread: {error}");
        process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capabilities are per thread: the test's other threads keep theirs.
    #[test]
    fn threads_end_up_with_what_their_kind_needs() {
        std::thread::spawn(|| {
            let before = permitted_now().unwrap();
            enter_device_starter();
            assert_eq!(permitted_now().unwrap(), before & FILE_SERVER);
            std::thread::spawn(move || {
                enter(ThreadKind::Fs);
                assert_eq!(permitted_now().unwrap(), before & FILE_SERVER);
            })
            .join()
            .unwrap();
            enter(ThreadKind::Vcpu);
            assert_eq!(permitted_now().unwrap(), 0);
            enter(ThreadKind::Fs);
            assert_eq!(permitted_now().unwrap(), 0, "nothing comes back");
        })
        .join()
        .unwrap();
    }
}

//! `--init`: a PID 1 that runs the command as its child, forwards signals, reaps orphans and ends as the command does.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitOptions, wait};

use crate::error::{Context, Error};
use crate::sys::signals;

/// Makes this process look like an init of its own: its name, command line and environment are those of the
/// supervisor on the host so far. Comes before the credentials change.
pub(crate) fn disguise(proc: BorrowedFd<'_>, title: &str) {
    erase_origin(proc, title);
    let _ = rustix::thread::set_name(c"sandbox-init");
}

/// Forks. The child returns and goes on to exec; PID 1 keeps the three streams and never returns.
pub(crate) fn split() -> Result<(), Error> {
    signals::set_mask(true);
    if rustix::process::getpid().as_raw_nonzero().get() != 1 {
        // In the PID namespace of others orphans are given to its init unless we ask for them; the container's filter may
        // forbid to ask.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
    // fork and not clone3: the container's filter is in force already, and Docker's answers ENOSYS to clone3.
    // SAFETY: one thread; the child goes on to exec, the parent to the loop below and _exit.
    match unsafe { libc::fork() } {
        -1 => {
            let errno = std::io::Error::last_os_error();
            Err(errno).context(|| "fork the command from the container's init")
        }
        0 => {
            // The terminal's keys are for the command's group alone (SIGTTOU is blocked here).
            let _ = rustix::process::setpgid(None, None);
            let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpgrp());
            signals::set_mask(false);
            Ok(())
        }
        pid => {
            let _ = crate::sys::close_range(3, u32::MAX);
            reap(pid)
        }
    }
}

/// Waits for signals and children until the command has ended, then ends with its status.
fn reap(command: i32) -> ! {
    loop {
        match next_signal() {
            libc::SIGCHLD => reap_all(command),
            // About our own use of the terminal.
            libc::SIGTTIN | libc::SIGTTOU => {}
            number => {
                // SAFETY: no pointers; PIDs of children that were not waited for are not given away.
                unsafe { libc::kill(command, number) };
            }
        }
    }
}

fn reap_all(command: i32) {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == command {
            let code =
                status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
            exit(code.unwrap_or(255));
        }
    }
}

fn exit(code: i32) -> ! {
    // SAFETY: ends the process without running destructors that the parent of this fork also has.
    unsafe { libc::_exit(code) }
}

fn next_signal() -> i32 {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    loop {
        // SAFETY: fills the set it is given.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: the set is initialised; the details of the signal are not asked for.
        let number = unsafe { libc::sigwaitinfo(set.as_ptr(), std::ptr::null_mut()) };
        if number > 0 {
            return number;
        }
    }
}

/// Overwrites argv and environ of this process in its own memory, found through /proc/self/stat.
fn erase_origin(proc: BorrowedFd<'_>, title: &str) {
    let Ok(stat) = rustix::fs::openat(proc, "self/stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    else {
        return;
    };
    let mut buffer = [0; 2048];
    let Ok(count) = rustix::io::read(stat.as_fd(), &mut buffer) else { return };
    let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
    // Fields 48 to 51 (proc_pid_stat(5)); the second one, in brackets, may contain blanks.
    let Some((_, fields)) = text.rsplit_once(')') else { return };
    let fields: Vec<usize> =
        fields.split_whitespace().skip(45).take(4).filter_map(|f| f.parse().ok()).collect();
    let [arg_start, arg_end, env_start, env_end] = fields[..] else { return };
    if arg_start == 0 || arg_end <= arg_start || env_end < env_start {
        return;
    }
    // A title that is longer than the arguments goes on in the environment, which follows them: the kernel shows
    // it up to its NUL then, as it does for setproctitle.
    let end = if env_start == arg_end { env_end } else { arg_end };
    // SAFETY: the kernel says where this process's own strings lie; they are plain writable stack memory that
    // nothing reads any more.
    let area = unsafe { std::slice::from_raw_parts_mut(arg_start as *mut u8, end - arg_start) };
    area.fill(0);
    let room = area.len() - 1;
    area.iter_mut().zip(title.bytes().take(room)).for_each(|(to, from)| *to = from);
    if end != env_end {
        // SAFETY: as above, for an environment that lies elsewhere.
        unsafe { std::slice::from_raw_parts_mut(env_start as *mut u8, env_end - env_start) }.fill(0);
    }
}

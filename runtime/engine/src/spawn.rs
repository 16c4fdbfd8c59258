//! Starts the supervisor: one `posix_spawn`, which shares our memory until exec instead of copying it.
//!
//! The child gets descriptor 3, its end of the connection, and 4, the container's locked lock file, so
//! that the lock is never free between us and it. Nothing else is passed on, not even what we inherited
//! ourselves: a stray descriptor of a host's directory in a container is a way out of it.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use rustix::io::fcntl_dupfd_cloexec;

use crate::error::{Error, Result};
use crate::lock::Lock;

/// The supervisor's end of the connection.
const CONNECTION: RawFd = 3;
/// The locked lock file.
const LOCK: RawFd = 4;
/// Duplicates are made from here up, so that moving one to its place cannot overwrite the other.
const ABOVE: RawFd = 10;

/// Environment variables that the supervisor may see: ours and Rust's. What it runs gets none of them.
const PASSED: [&str; 2] = ["SANDBOX_", "RUST_"];

/// Spawns `program --plan PLAN` and gives our end of the connection and its process id. With `log`, it complains there
/// and not where we do: whoever waits for the end of our output must not wait for the container's.
pub(crate) fn supervisor(
    program: &Path,
    plan: &Path,
    lock: &Lock,
    log: Option<&Path>,
) -> Result<(UnixStream, Pid)> {
    let (ours, theirs) = UnixStream::pair().map_err(Error::system("make a socket pair"))?;
    let above = |fd: &dyn std::os::fd::AsFd| -> Result<OwnedFd> {
        fcntl_dupfd_cloexec(fd.as_fd(), ABOVE).map_err(Error::system("duplicate a descriptor"))
    };
    let (connection, lock) = (above(&theirs)?, above(lock.file())?);
    close_others_on_exec().map_err(Error::system("mark descriptors close-on-exec"))?;

    let failed = |e: nix::Error| Error::io("start the supervisor", program)(std::io::Error::from(e));
    let mut actions = PosixSpawnFileActions::init().map_err(failed)?;
    actions
        .add_open(0, "/dev/null", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())
        .map_err(failed)?;
    actions
        .add_open(1, "/dev/null", nix::fcntl::OFlag::O_WRONLY, nix::sys::stat::Mode::empty())
        .map_err(failed)?;
    if let Some(log) = log {
        use nix::fcntl::OFlag;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_APPEND | OFlag::O_NOFOLLOW;
        let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
        actions.add_open(2, log, flags, mode).map_err(failed)?;
    }
    actions.add_dup2(connection.as_raw_fd(), CONNECTION).map_err(failed)?;
    actions.add_dup2(lock.as_raw_fd(), LOCK).map_err(failed)?;

    // A session of its own: a Ctrl-C at our terminal is ours to forward, not the kernel's to deliver.
    let setsid = PosixSpawnFlags::from_bits_retain(POSIX_SPAWN_SETSID);
    let mut attributes = PosixSpawnAttr::init().map_err(failed)?;
    attributes
        .set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | setsid)
        .map_err(failed)?;
    attributes.set_sigmask(&SigSet::empty()).map_err(failed)?;
    let mut defaults = SigSet::empty();
    // Rust ignores SIGPIPE from the start, and an ignored signal survives exec.
    defaults.add(Signal::SIGPIPE);
    attributes.set_sigdefault(&defaults).map_err(failed)?;

    let argv = [c_string(program)?, c"--plan".to_owned(), c_string(plan)?];
    let pid =
        posix_spawn(argv[0].as_c_str(), &actions, &attributes, &argv, &environment()).map_err(failed)?;
    Ok((ours, pid))
}

/// Sets FD_CLOEXEC on every descriptor from 3 up (close_range(2)).
fn close_others_on_exec() -> std::io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: with CLOSE_RANGE_CLOEXEC the call closes nothing and touches no memory of ours.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// glibc's flag (spawn.h), which the nix crate has no name for.
const POSIX_SPAWN_SETSID: i32 = 0x80;

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::invalid(format!("{} holds a NUL byte", path.display())))
}

fn environment() -> Vec<CString> {
    let passed = std::env::vars_os()
        .filter(|(key, _)| PASSED.iter().any(|p| key.as_bytes().starts_with(p.as_bytes())));
    passed
        .filter_map(|(key, value)| CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// A shell in the supervisor's place tells what it was given.
    #[test]
    fn the_child_has_its_two_descriptors_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("shim");
        std::fs::write(
            &script,
            "#!/bin/sh\nls /proc/self/fd | tr '\\n' ' ' >&3\nreadlink /proc/$$/fd/4 >&3\necho $1 $2 >&3\n",
        )
        .unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let lock = crate::lock::create(dir.path()).unwrap();
        let stray = std::fs::File::open("/").unwrap();
        // A number of its own: other tests of this process open and close low ones meanwhile.
        let stray = rustix::io::fcntl_dupfd_cloexec(&stray, 500).unwrap();
        rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
        let (mut connection, pid) = supervisor(&script, Path::new("/the/plan"), &lock, None).unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        nix::sys::wait::waitpid(pid, None).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let (numbers, lock_file) = lines[0].rsplit_once(' ').unwrap();
        let numbers: Vec<i32> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(numbers.starts_with(&[0, 1, 2, 3, 4]), "{numbers:?}");
        assert!(!numbers.contains(&stray.as_raw_fd()), "{numbers:?}");
        assert_eq!(lock_file, format!("{}/lock", dir.path().display()));
        assert_eq!(lines[1], "--plan /the/plan");
    }

    #[test]
    fn with_a_log_our_own_error_output_is_not_held_open() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("shim");
        std::fs::write(&script, "#!/bin/sh\necho complaint >&2\nreadlink /proc/$$/fd/2 >&3\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let lock = crate::lock::create(dir.path()).unwrap();
        let log = dir.path().join("log");
        let (mut connection, pid) = supervisor(&script, Path::new("/p"), &lock, Some(&log)).unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        nix::sys::wait::waitpid(pid, None).unwrap();
        assert_eq!(Path::new(text.trim()), log);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "complaint\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let lock = crate::lock::create(dir.path()).unwrap();
        let error =
            supervisor(Path::new("/no/such/shim"), Path::new("/p"), &lock, None).unwrap_err().to_string();
        assert!(error.starts_with("start the supervisor /no/such/shim: "), "{error}");
    }
}

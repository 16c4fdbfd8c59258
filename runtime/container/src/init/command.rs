//! Finding and executing the command, with the words and codes of Docker.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use crate::error::{EXIT_CANNOT_EXECUTE, EXIT_NOT_FOUND, Error, errno_text};
use crate::plan::process::ProcessPlan;

/// Looks `plan.command` up as execvp does: with a slash it is a path, else it is searched for in PATH.
/// Runs inside the container, in its working directory.
pub(crate) fn look_up(plan: &ProcessPlan) -> Result<CString, Error> {
    let command = plan.command.as_str();
    if command.contains('/') {
        return match check(plan, Path::new(command)) {
            Ok(()) => c_string(command.as_bytes()),
            Err(reason) => Err(failure(command, &reason)),
        };
    }
    for directory in plan.path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = Path::new(directory).join(command);
        if !command.is_empty() && check(plan, &candidate).is_ok() {
            return c_string(candidate.as_os_str().as_bytes());
        }
    }
    Err(Error::Exec {
        command: command.to_owned(),
        reason: "executable file not found in $PATH".to_owned(),
        code: EXIT_NOT_FOUND,
    })
}

enum Reason {
    /// `/proc/self/exe`: the container would run, and could then overwrite, the host's program (CVE-2019-5736).
    OurOwnProgram,
    Stat(Errno),
    Directory,
    NotExecutable,
}

fn check(plan: &ProcessPlan, path: &Path) -> Result<(), Reason> {
    let stat = rustix::fs::stat(path).map_err(Reason::Stat)?;
    if plan.own_program == Some((stat.st_dev, stat.st_ino)) {
        return Err(Reason::OurOwnProgram);
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Reason::Directory),
        _ if Mode::from_raw_mode(stat.st_mode).intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH) => Ok(()),
        _ => Err(Reason::NotExecutable),
    }
}

fn failure(command: &str, reason: &Reason) -> Error {
    let (reason, code) = match reason {
        Reason::Stat(errno) => {
            let missing = matches!(*errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG);
            let code = if missing { EXIT_NOT_FOUND } else { EXIT_CANNOT_EXECUTE };
            (format!("stat {command}: {}", errno_text(errno.raw_os_error())), code)
        }
        Reason::OurOwnProgram => {
            ("permission denied: it is the container engine's own program".to_owned(), EXIT_CANNOT_EXECUTE)
        }
        Reason::Directory => ("is a directory".to_owned(), EXIT_CANNOT_EXECUTE),
        Reason::NotExecutable => ("permission denied".to_owned(), EXIT_CANNOT_EXECUTE),
    };
    Error::Exec { command: command.to_owned(), reason, code }
}

fn c_string(bytes: &[u8]) -> Result<CString, Error> {
    CString::new(bytes)
        .map_err(|_| Error::spec(format!("{} contains NUL", OsStr::from_bytes(bytes).display())))
}

/// Replaces this process. Returns only the error.
pub(crate) fn execute(plan: &ProcessPlan, program: &CString, env: &[CString]) -> Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(&plan.args), pointers(env));
    // SAFETY: NUL-terminated strings in NULL-terminated lists that outlive the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    // The file is there (it was looked up): what is missing is its interpreter.
    let code = if errno == libc::ENOENT { EXIT_NOT_FOUND } else { EXIT_CANNOT_EXECUTE };
    Error::Exec { command: plan.command.clone(), reason: errno_text(errno), code }
}

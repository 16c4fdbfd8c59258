//! Descriptors 0, 1 and 2 of the process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Gid, Uid, makedev};

use crate::error::{Context, Error};
use crate::options::Stdio;

/// [`Stdio`] as the child needs it.
#[derive(Debug)]
pub(crate) enum ChildStdio {
    Pipes { stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd },
    Terminal { rows: u16, cols: u16 },
    Inherit,
}

impl ChildStdio {
    /// Splits off the console socket; a missing stdin becomes the null device. `size` is the spec's, for a console.
    pub(crate) fn new(stdio: Stdio, size: (u16, u16)) -> Result<(ChildStdio, Option<OwnedFd>), Error> {
        Ok(match stdio {
            Stdio::Pipes { stdin, stdout, stderr } => {
                let stdin =
                    stdin.map_or_else(|| super::devices::open_null(rustix::fs::OFlags::RDONLY), Ok)?;
                (ChildStdio::Pipes { stdin, stdout, stderr }, None)
            }
            Stdio::Terminal { rows, cols } => (ChildStdio::Terminal { rows, cols }, None),
            Stdio::Inherit => (ChildStdio::Inherit, None),
            Stdio::ConsoleSocket(socket) => {
                let (rows, cols) = size;
                (ChildStdio::Terminal { rows, cols }, Some(socket))
            }
        })
    }
}

/// Puts three descriptors into place. The caller's own stay open until exec.
pub(crate) fn install(
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> Result<(), Error> {
    // Two of them may sit at 0 to 2 already: copies out of the way come first.
    let copy = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3).context(|| "copy a stream");
    let (stdin, stdout, stderr) = (copy(stdin)?, copy(stdout)?, copy(stderr)?);
    rustix::stdio::dup2_stdin(&stdin).context(|| "install stdin")?;
    rustix::stdio::dup2_stdout(&stdout).context(|| "install stdout")?;
    rustix::stdio::dup2_stderr(&stderr).context(|| "install stderr")
}

/// Gives the streams to the container's user, so that /dev/stdout can be opened again. The null device and what cannot
/// be given away stay as they are.
pub(crate) fn give_to(uid: u32) {
    for fd in
        [rustix::stdio::stdin().as_fd(), rustix::stdio::stdout().as_fd(), rustix::stdio::stderr().as_fd()]
    {
        let Ok(stat) = rustix::fs::fstat(fd) else { continue };
        let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(1, 3);
        if is_null || stat.st_uid == uid {
            continue;
        }
        // What belongs to a read-only file system or to another user namespace can be written to all the same.
        let _ = rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None::<Gid>);
    }
}

//! The work in a process of its own, with streams like any process of the container.
//!
//! Supervisor and agent have one thread, because they clone; a copy of theirs does the work, so that a volume that does
//! not answer stalls nobody, and killing it is cancelling. It is of no cgroup and no namespace of the container, has no
//! descriptor but the root and its streams, and dies with its parent.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::Signal;

use super::{Archive, ArchiveError, pack, stat, unpack};
use crate::container::Container;
use crate::error::{Context, Error};
use crate::init::stdio;
use crate::process::Process;
use crate::sys::signals;

/// How the process ends if it could not do it; the reason is an [`ArchiveError`] as JSON on its error stream.
const FAILED: i32 = 1;

/// The three streams of the work.
#[derive(Debug)]
pub struct Streams {
    /// `None`: nothing is to be read.
    pub input: Option<OwnedFd>,
    pub output: OwnedFd,
    pub error: OwnedFd,
}

/// Starts the work on `root`. The caller has one thread.
pub fn spawn(root: &OwnedFd, request: &Archive, streams: &Streams) -> Result<Process, Error> {
    let null;
    let input = if let Some(input) = &streams.input {
        input.as_fd()
    } else {
        null = crate::init::devices::open_null(rustix::fs::OFlags::RDONLY)?;
        null.as_fd()
    };
    let parent = rustix::process::getpid();
    crate::spawn::spawn_plain(|| {
        let set_up = || -> Result<OwnedFd, Error> {
            signals::reset();
            stdio::install(input, streams.output.as_fd(), streams.error.as_fd())?;
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
                .context(|| "ask to die with the supervisor")?;
            if rustix::process::getppid() != Some(parent) {
                return Err(Error::State("the supervisor is gone".to_owned()));
            }
            rustix::process::umask(rustix::fs::Mode::empty());
            only(root)
        };
        let code = match set_up().map_err(|error| ArchiveError::Failed(error.to_string())) {
            Ok(root) => report(run(root.as_fd(), request)),
            Err(error) => report(Err(error)),
        };
        // SAFETY: ends this copy of the process at once; nothing of the parent's is run down in it.
        unsafe { libc::_exit(code) }
    })
}

impl Container {
    /// Starts the work on the container's root as its init sees it, volumes and all. A paused container is no hindrance.
    pub fn archive(&self, request: &Archive, streams: &Streams) -> Result<Process, Error> {
        spawn(&self.rootfs()?, request, streams)
    }
}

/// Closes every descriptor but 0 to 2 and the root, which becomes 3.
fn only(root: &OwnedFd) -> Result<OwnedFd, Error> {
    let doing = || "close the supervisor's descriptors";
    if root.as_raw_fd() == 3 {
        crate::sys::close_range(4, u32::MAX).context(doing)?;
        return rustix::io::fcntl_dupfd_cloexec(root, 4).context(doing);
    }
    // A copy at the lowest free place above it, so that all below and above can go.
    let copy = rustix::io::fcntl_dupfd_cloexec(root, 3).context(doing)?;
    let at = copy.as_raw_fd() as u32;
    if at > 3 {
        crate::sys::close_range(3, at - 1).context(doing)?;
    }
    crate::sys::close_range(at + 1, u32::MAX).context(doing)?;
    Ok(copy)
}

fn run(root: BorrowedFd<'_>, request: &Archive) -> Result<(), ArchiveError> {
    match request {
        Archive::Stat { path } => {
            let found = stat(root, path)?;
            let json = serde_json::to_vec(&found).map_err(|error| ArchiveError::Failed(error.to_string()))?;
            RawOutput
                .write_all(&json)
                .map_err(|error| ArchiveError::Failed(format!("write the answer: {error}")))
        }
        Archive::Pack { path, follow } => pack(root, path, *follow, RawOutput).map(drop),
        Archive::Unpack { path, options } => unpack(root, path, RawInput, options).map(drop),
    }
}

/// The standard streams without the buffers of the standard library's, which are copies of the parent's.
struct RawInput;
struct RawOutput;

impl Read for RawInput {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut *buffer))?)
    }
}

impl Write for RawOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), bytes))?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn report(result: Result<(), ArchiveError>) -> i32 {
    let Err(error) = result else { return 0 };
    if let Ok(json) = serde_json::to_vec(&error) {
        // Whoever has closed it does not want to know.
        let _ = rustix::io::write(rustix::stdio::stderr(), &json);
    }
    FAILED
}

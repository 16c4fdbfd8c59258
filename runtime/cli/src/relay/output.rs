//! Our stdout or stderr, written without ever blocking and without changing it for others.
//!
//! The open file behind our stdout is shared with the shell and its other children, so O_NONBLOCK must not be
//! set on it. A pipe or terminal is opened once more instead, a socket is written with a flag of the call,
//! a file never blocks. Where opening fails, a pipe that polls writable takes PIPE_BUF bytes (pipe(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

/// What a pipe that polls writable takes at once.
const PIPE_BUF: usize = 4096;

#[derive(Debug)]
pub(super) struct Output {
    shared: BorrowedFd<'static>,
    way: Way,
    blocked: bool,
    nobody_reads: bool,
}

#[derive(Debug)]
enum Way {
    /// A description of our own, O_NONBLOCK.
    Own(OwnedFd),
    Socket,
    /// Cannot block.
    File,
    /// Small writes after a poll.
    Careful,
}

/// What came of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    Bytes(usize),
    /// Poll [`Output::blocked`] first.
    Blocked,
    /// The other end is closed.
    NobodyReads,
}

impl Output {
    pub(super) fn new(shared: BorrowedFd<'static>) -> Output {
        let kind = rustix::fs::fstat(shared).map(|s| FileType::from_raw_mode(s.st_mode));
        let way = match kind {
            Ok(FileType::Socket) => Way::Socket,
            Ok(FileType::Fifo | FileType::CharacterDevice) => {
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let path = format!("/proc/self/fd/{}", shared.as_raw_fd());
                rustix::fs::open(path, flags, Mode::empty()).map_or(Way::Careful, Way::Own)
            }
            _ => Way::File,
        };
        Output { shared, way, blocked: false, nobody_reads: false }
    }

    /// The descriptor to poll for writing, while a write waits for it.
    pub(super) fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.blocked.then(|| match &self.way {
            Way::Own(fd) => fd.as_fd(),
            _ => self.shared,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Wrote> {
        if self.nobody_reads {
            return Ok(Wrote::NobodyReads);
        }
        let result = match &self.way {
            Way::Own(fd) => rustix::io::write(fd, bytes),
            Way::Socket => rustix::net::send(self.shared, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::File => rustix::io::write(self.shared, bytes),
            Way::Careful if !writable(self.shared) => Err(Errno::AGAIN),
            Way::Careful => rustix::io::write(self.shared, &bytes[..bytes.len().min(PIPE_BUF)]),
        };
        self.blocked = result == Err(Errno::AGAIN);
        match result {
            Ok(count) => Ok(Wrote::Bytes(count)),
            Err(Errno::AGAIN) => Ok(Wrote::Blocked),
            Err(Errno::INTR) => Ok(Wrote::Bytes(0)),
            // EIO: the terminal was hung up.
            Err(Errno::PIPE | Errno::CONNRESET | Errno::IO) => {
                self.nobody_reads = true;
                Ok(Wrote::NobodyReads)
            }
            Err(e) => Err(e.into()),
        }
    }
}

fn writable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::OUT)];
    rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))
        .is_ok_and(|n| n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    /// Tests leak descriptors on purpose: an output lives as long as its process.
    fn leaked(fd: impl Into<OwnedFd>) -> BorrowedFd<'static> {
        let fd: &'static OwnedFd = Box::leak(Box::new(fd.into()));
        fd.as_fd()
    }

    fn fill(output: &mut Output) -> usize {
        let mut total = 0;
        loop {
            match output.write(&[7; 10_000]).unwrap() {
                Wrote::Bytes(count) => total += count,
                Wrote::Blocked => return total,
                Wrote::NobodyReads => panic!("somebody reads"),
            }
        }
    }

    #[test]
    fn a_full_pipe_blocks_nobody_and_loses_nothing() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let shared = leaked(writer);
        let mut output = Output::new(shared);
        assert!(matches!(output.way, Way::Own(_)));
        let total = fill(&mut output);
        assert!(output.blocked().is_some() && total >= 4096);
        let flags = rustix::fs::fcntl_getfl(shared).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK), "the shared description stays as it was");
        let mut got = vec![0; total];
        reader.read_exact(&mut got).unwrap();
        assert!(matches!(output.write(b"x").unwrap(), Wrote::Bytes(1)));
        assert!(output.blocked().is_none());
        drop(reader);
        assert_eq!(output.write(b"x").unwrap(), Wrote::NobodyReads);
        assert_eq!(output.write(b"x").unwrap(), Wrote::NobodyReads);
    }

    #[test]
    fn sockets_and_careful_pipes() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut output = Output::new(leaked(ours));
        assert!(matches!(output.way, Way::Socket));
        assert!(fill(&mut output) > 0);
        drop(theirs);
        assert_eq!(output.write(b"x").unwrap(), Wrote::NobodyReads);

        let (_reader, writer) = std::io::pipe().unwrap();
        let mut output = Output::new(leaked(writer));
        output.way = Way::Careful;
        assert!(fill(&mut output) >= PIPE_BUF);
    }
}

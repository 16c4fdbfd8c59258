//! The terminal's end of a running container: bytes both ways, signals, resizes, until the supervisor
//! has nothing more to say.
//!
//! One thread, one `poll`, nothing in it blocks but the poll: while a reader of our stdout is slow, signals
//! still go through. At most one buffer of output is held; what comes behind it waits in the
//! socket, then in the supervisor, then in the container's pipe.

pub(crate) mod detach;
mod input;
mod output;
mod protocol;
pub(crate) mod signals;
pub(crate) mod terminal;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use sandbox_engine::Outcome;
use sandbox_shim::wire::{Notice, Request, Stamp};

use detach::DetachKeys;
use input::Input;
use output::{Output, Wrote};
use protocol::{Incoming, Item, Outgoing};
use signals::{Caught, Signals};

/// How to relay.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent choices of a command")]
pub(crate) struct Options {
    /// `-i`.
    pub(crate) stdin: bool,
    /// `-t`: window changes are forwarded.
    pub(crate) tty: bool,
    /// `--sig-proxy`.
    pub(crate) sig_proxy: bool,
    /// What we end of takes the process with it.
    pub(crate) tied: bool,
    /// Keys that leave it to itself, where a terminal is typed at.
    pub(crate) detach_keys: Option<DetachKeys>,
    /// Streams that are shown.
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) outcome: Outcome,
    pub(crate) stamps: Vec<Stamp>,
    /// CLOCK_MONOTONIC, nanoseconds, of the first byte of output that came here.
    pub(crate) first_output_ns: Option<u64>,
    /// The signal that ended us rather than the container: SIGPIPE, or one that is not forwarded.
    pub(crate) ended_by: Option<i32>,
    /// The detach keys were typed.
    pub(crate) detached: bool,
    /// The end was not the last: the container is started again by its restart policy.
    pub(crate) goes_on: bool,
}

/// Everything of one relay.
struct Relay<'a> {
    connection: UnixStream,
    signals: &'a Signals,
    options: Options,
    input: Input,
    stdout: Output,
    stderr: Output,
    incoming: Incoming,
    outgoing: Outgoing,
    result: Relayed,
    /// The connection gave its end of file.
    over: bool,
}

/// Our own three streams, or those of a test.
#[derive(Debug, Clone, Copy)]
struct Streams {
    stdin: BorrowedFd<'static>,
    stdout: BorrowedFd<'static>,
    stderr: BorrowedFd<'static>,
}

/// Relays until the supervisor closes the connection.
pub(crate) fn run(connection: UnixStream, signals: &Signals, options: Options) -> io::Result<Relayed> {
    let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
    run_on(Streams { stdin, stdout, stderr }, connection, signals, options)
}

fn run_on(
    streams: Streams,
    connection: UnixStream,
    signals: &Signals,
    options: Options,
) -> io::Result<Relayed> {
    connection.set_nonblocking(true)?;
    let mut outgoing = Outgoing::default();
    let input = if options.stdin {
        Input::open(streams.stdin, options.detach_keys.clone())
    } else {
        Input::closed(streams.stdin)
    };
    if !options.stdin {
        outgoing.stdin_end();
    }
    let mut relay = Relay {
        connection,
        signals,
        input,
        stdout: Output::new(streams.stdout),
        stderr: Output::new(streams.stderr),
        incoming: Incoming::default(),
        outgoing,
        result: Relayed {
            outcome: Outcome::Lost,
            stamps: Vec::new(),
            first_output_ns: None,
            ended_by: None,
            detached: false,
            goes_on: false,
        },
        over: false,
        options,
    };
    while !relay.over {
        relay.turn()?;
    }
    Ok(relay.result)
}

impl Relay<'_> {
    /// One poll and what it brought.
    fn turn(&mut self) -> io::Result<()> {
        let ready = self.wait()?;
        if ready.signals {
            self.signalled()?;
        }
        if ready.stdin && self.input.read(&mut self.outgoing) {
            self.detach();
        }
        if ready.writable || self.outgoing.is_pending() {
            self.send();
        }
        if ready.readable {
            self.receive()?;
        }
        self.deliver()
    }

    /// Only what can be acted upon is polled: a hang-up is reported even when nobody asks for it.
    fn wait(&self) -> io::Result<Ready> {
        let blocked = self.blocked();
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, blocked.is_none());
        wanted.set(PollFlags::OUT, self.outgoing.is_pending());
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        let mut add = |fd, flags| {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
            fds.len() - 1
        };
        let connection = (!wanted.is_empty()).then(|| add(self.connection.as_fd(), wanted));
        let room = !self.outgoing.is_pending() && self.outgoing.window() > 0;
        let stdin = self.input.wanted().filter(|_| room).map(|fd| add(fd, PollFlags::IN));
        if let Some(fd) = blocked {
            add(fd, PollFlags::OUT);
        }
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(e) => return Err(e.into()),
        }
        let came = |at: Option<usize>| at.map_or(PollFlags::empty(), |at| fds[at].revents());
        let gone = PollFlags::HUP | PollFlags::ERR;
        Ok(Ready {
            readable: blocked.is_none() && came(connection).intersects(PollFlags::IN | gone),
            writable: came(connection).intersects(PollFlags::OUT | gone),
            signals: fds[0].revents().contains(PollFlags::IN),
            stdin: !came(stdin).is_empty(),
        })
    }

    /// The output that must become writable before anything else is received.
    fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.stdout.blocked().or_else(|| self.stderr.blocked())
    }

    fn signalled(&mut self) -> io::Result<()> {
        while let Some(caught) = self.signals.next()? {
            match caught {
                Caught::WindowChange if self.options.tty => {
                    if let Some(size) = terminal::size() {
                        self.outgoing.request(&Request::Resize { rows: size.rows, cols: size.cols });
                    }
                }
                Caught::Other(signal) if self.options.sig_proxy => {
                    self.outgoing.request(&Request::Signal { signal });
                }
                // Not forwarded: it ends us, and with us the container.
                Caught::Other(signal) if signals::ends_a_process(signal) => self.end(signal),
                Caught::WindowChange | Caught::Other(_) => {}
            }
        }
        Ok(())
    }

    /// We are to end: what is tied to us goes first, at once, and what is not is left alone.
    fn end(&mut self, signal: i32) {
        if self.result.ended_by.is_none() {
            self.result.ended_by = Some(signal);
            if self.options.tied {
                self.outgoing.request(&Request::Signal { signal: libc::SIGKILL });
            } else {
                self.over = true;
            }
        }
    }

    /// Leaves; what the supervisor does not take of that now it takes from the end of the connection.
    fn detach(&mut self) {
        self.outgoing.request(&Request::Detach);
        while self.outgoing.is_pending() && self.outgoing.write(&self.connection).is_ok() {
            let mut fds = [PollFd::from_borrowed_fd(self.connection.as_fd(), PollFlags::OUT)];
            if poll(&mut fds, None).is_err() {
                break;
            }
        }
        self.result.detached = true;
        self.over = true;
    }

    fn send(&mut self) {
        if self.outgoing.write(&self.connection).is_err() {
            // The supervisor reads no more; what it still says comes by the other direction.
            self.outgoing.close();
            self.input.close();
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        match self.incoming.fill(&self.connection) {
            Ok(true) => Ok(()),
            Ok(false) => {
                // The supervisor gives up a client of several that does not read, in the middle of a frame if need be.
                self.over = self.incoming.is_empty() || !self.options.tied;
                if self.over { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                self.over = true;
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    /// Hands on what has been received, as far as the outputs take it.
    fn deliver(&mut self) -> io::Result<()> {
        loop {
            let (output, shown, bytes) = match self.incoming.next()? {
                None => return Ok(()),
                Some(Item::Credit(bytes)) => {
                    self.outgoing.credit(bytes);
                    continue;
                }
                Some(Item::Notice(notice)) => {
                    self.noticed(notice);
                    continue;
                }
                Some(Item::Stdout(bytes)) => (&mut self.stdout, self.options.stdout, bytes),
                Some(Item::Stderr(bytes)) => (&mut self.stderr, self.options.stderr, bytes),
            };
            if !shown {
                let count = bytes.len();
                self.incoming.consume(count);
                continue;
            }
            if self.result.first_output_ns.is_none() {
                self.result.first_output_ns = Some(sandbox_engine::monotonic_ns());
            }
            match output.write(bytes)? {
                Wrote::Bytes(count) => self.incoming.consume(count),
                Wrote::Blocked => return Ok(()),
                Wrote::NobodyReads => {
                    let count = bytes.len();
                    self.incoming.consume(count);
                    self.end(libc::SIGPIPE);
                }
            }
        }
    }

    fn noticed(&mut self, notice: Notice) {
        match notice {
            Notice::Started { .. } | Notice::Done | Notice::Stats(_) | Notice::Processes(_) => {}
            Notice::Restarting => self.result.goes_on = true,
            Notice::StartFailed { message, exit_code } | Notice::Failed { message, exit_code } => {
                self.result.outcome = Outcome::StartFailed { message, exit_code };
                self.input.close();
            }
            Notice::Exited(exit) => {
                self.result.outcome = Outcome::Exited(exit);
                self.input.close();
            }
            Notice::Timings { stamps } => self.result.stamps = stamps,
        }
    }
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what a poll brought")]
struct Ready {
    readable: bool,
    writable: bool,
    signals: bool,
    stdin: bool,
}

#[cfg(test)]
mod tests;

//! The supervisor's frames without blocking: a parser that hands out parts of frames as they come, and
//! a writer that keeps what the socket does not take yet.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use sandbox_shim::frame::header;
use sandbox_shim::wire::{self, HEADER, MAX_FRAME, Notice, Request, STDIN_WINDOW};

/// Bytes received at a time.
const BUFFER: usize = 256 << 10;

/// What the supervisor sends, not yet handed on.
#[derive(Debug)]
pub(super) struct Incoming {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The frame whose payload is being handed out: its kind and what is missing of it.
    current: Option<(u8, usize)>,
    /// A frame that is needed whole.
    whole: Vec<u8>,
}

/// The next thing in the stream.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// Some bytes of it; the caller says how many it took.
    Stdout(&'a [u8]),
    Stderr(&'a [u8]),
    /// More stdin may be sent.
    Credit(usize),
    Notice(Notice),
}

impl Default for Incoming {
    fn default() -> Self {
        Incoming { buffer: vec![0; BUFFER].into(), start: 0, end: 0, current: None, whole: Vec::new() }
    }
}

impl Incoming {
    /// Whether the stream stands between two frames.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end && self.current.is_none()
    }

    /// Receives once; false at the end of the stream.
    pub(super) fn fill(&mut self, from: &UnixStream) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        match rustix::io::retry_on_intr(|| rustix::io::read(from, &mut self.buffer[self.end..])) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.end += count;
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }

    /// The next item, or None until more is received. Output stays until [`Incoming::consume`].
    pub(super) fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        loop {
            let have = self.end - self.start;
            let Some((kind, missing)) = self.current else {
                if have < HEADER {
                    return Ok(None);
                }
                let head = &self.buffer[self.start..self.start + HEADER];
                let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
                if length > MAX_FRAME {
                    return Err(invalid("a frame above the limit"));
                }
                self.current = Some((head[0], length));
                self.start += HEADER;
                continue;
            };
            match kind {
                wire::STDOUT | wire::STDERR if missing == 0 => self.current = None,
                wire::STDOUT | wire::STDERR => {
                    if have == 0 {
                        return Ok(None);
                    }
                    let bytes = &self.buffer[self.start..self.start + have.min(missing)];
                    return Ok(Some(if kind == wire::STDOUT {
                        Item::Stdout(bytes)
                    } else {
                        Item::Stderr(bytes)
                    }));
                }
                wire::STDIN_CREDIT | wire::NOTICE => {
                    let take = have.min(missing);
                    self.whole.extend_from_slice(&self.buffer[self.start..self.start + take]);
                    self.start += take;
                    if take < missing {
                        self.current = Some((kind, missing - take));
                        return Ok(None);
                    }
                    self.current = None;
                    return self.complete(kind).map(Some);
                }
                _ => return Err(invalid("a frame of unknown kind")),
            }
        }
    }

    /// So many bytes of the last output item were taken.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if let Some((_, missing)) = &mut self.current {
            *missing = missing.saturating_sub(count);
        }
    }

    fn complete(&mut self, kind: u8) -> io::Result<Item<'static>> {
        let whole = std::mem::take(&mut self.whole);
        if kind == wire::NOTICE {
            return serde_json::from_slice(&whole)
                .map(Item::Notice)
                .map_err(|_| invalid("a notice that does not parse"));
        }
        let bytes =
            <[u8; 4]>::try_from(whole.as_slice()).map_err(|_| invalid("a credit that is no number"))?;
        Ok(Item::Credit(u32::from_le_bytes(bytes) as usize))
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the supervisor sent {what}"))
}

/// What the supervisor is to get.
#[derive(Debug)]
pub(super) struct Outgoing {
    pending: Vec<u8>,
    sent: usize,
    window: usize,
    closed: bool,
}

impl Default for Outgoing {
    fn default() -> Self {
        Outgoing { pending: Vec::new(), sent: 0, window: STDIN_WINDOW, closed: false }
    }
}

impl Outgoing {
    pub(super) fn is_pending(&self) -> bool {
        self.sent < self.pending.len()
    }

    /// Bytes of stdin that may be sent now.
    pub(super) fn window(&self) -> usize {
        if self.closed { 0 } else { self.window }
    }

    pub(super) fn credit(&mut self, bytes: usize) {
        self.window = self.window.saturating_add(bytes).min(STDIN_WINDOW);
    }

    /// Bytes of stdin, no more than [`Outgoing::window`].
    pub(super) fn stdin(&mut self, bytes: &[u8]) {
        self.window = self.window.saturating_sub(bytes.len());
        self.frame(wire::STDIN, bytes);
    }

    pub(super) fn stdin_end(&mut self) {
        self.frame(wire::STDIN, &[]);
    }

    pub(super) fn request(&mut self, request: &Request) {
        // A request is a small value of plain fields, which JSON always holds.
        if let Ok(json) = serde_json::to_vec(request) {
            self.frame(wire::REQUEST, &json);
        }
    }

    /// Nothing more can be sent.
    pub(super) fn close(&mut self) {
        self.pending.clear();
        self.sent = 0;
        self.closed = true;
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) {
        if self.closed {
            return;
        }
        if let Ok(head) = header(kind, payload.len()) {
            self.pending.extend_from_slice(&head);
            self.pending.extend_from_slice(payload);
        }
    }

    /// Sends what the socket takes.
    pub(super) fn write(&mut self, to: &UnixStream) -> io::Result<()> {
        while self.is_pending() {
            // SIGPIPE is ignored in every Rust program.
            match rustix::io::write(to, &self.pending[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
        self.pending.clear();
        self.sent = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_shim::wire::Exit;
    use std::io::Write;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        [&header(kind, payload.len()).unwrap()[..], payload].concat()
    }

    /// stdout, stderr, credit, notices.
    type Parsed = (Vec<u8>, Vec<u8>, usize, Vec<String>);

    /// Everything that comes, however the stream is cut.
    fn parsed(stream: &[u8], cut: usize) -> io::Result<Parsed> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (mut stdout, mut stderr, mut credit, mut notices) = (vec![], vec![], 0, vec![]);
        let mut incoming = Incoming::default();
        for part in stream.chunks(cut) {
            theirs.write_all(part).unwrap();
            assert!(incoming.fill(&ours)?);
            loop {
                let count = match incoming.next()? {
                    None => break,
                    Some(Item::Stdout(bytes)) => {
                        stdout.push(bytes[0]);
                        1
                    }
                    Some(Item::Stderr(bytes)) => {
                        stderr.extend_from_slice(bytes);
                        bytes.len()
                    }
                    Some(Item::Credit(n)) => {
                        credit += n;
                        continue;
                    }
                    Some(Item::Notice(notice)) => {
                        notices.push(format!("{notice:?}"));
                        continue;
                    }
                };
                incoming.consume(count);
            }
        }
        assert!(incoming.is_empty());
        Ok((stdout, stderr, credit, notices))
    }

    #[test]
    fn frames_in_pieces_of_every_size() {
        let notice =
            serde_json::to_vec(&Notice::Exited(Exit { code: 3, oom_killed: false, error: None })).unwrap();
        let stream = [
            frame(wire::STDOUT, b"hello"),
            frame(wire::STDERR, b"oops"),
            frame(wire::STDOUT, b""),
            frame(wire::STDIN_CREDIT, &7_u32.to_le_bytes()),
            frame(wire::NOTICE, &notice),
            frame(wire::STDOUT, b" world"),
        ]
        .concat();
        for cut in 1..stream.len() {
            let (stdout, stderr, credit, notices) = parsed(&stream, cut).unwrap();
            assert_eq!(
                (stdout.as_slice(), stderr.as_slice(), credit),
                (&b"hello world"[..], &b"oops"[..], 7)
            );
            assert!(notices[0].contains("code: 3"));
        }
    }

    #[test]
    fn what_is_no_frame() {
        assert!(parsed(&[wire::STDOUT, 0xff, 0xff, 0xff, 0xff], 5).is_err());
        assert!(parsed(&frame(99, b"x"), 6).is_err());
        assert!(parsed(&frame(wire::NOTICE, b"{"), 6).is_err());
        assert!(parsed(&frame(wire::STDIN_CREDIT, b"abc"), 8).is_err());
    }

    #[test]
    fn outgoing_keeps_what_does_not_fit_and_counts_its_window() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut outgoing = Outgoing::default();
        let bytes = vec![1; STDIN_WINDOW];
        outgoing.stdin(&bytes);
        assert_eq!(outgoing.window(), 0);
        outgoing.request(&Request::Signal { signal: 2 });
        outgoing.write(&ours).unwrap();
        assert!(outgoing.is_pending(), "the socket's buffer is smaller than the window");
        let reader = std::thread::spawn(move || {
            let (mut theirs, mut payload, mut kinds) = (theirs, Vec::new(), Vec::new());
            while let Some(kind) = sandbox_shim::frame::read_blocking(&mut theirs, &mut payload).unwrap() {
                kinds.push((kind, payload.len()));
            }
            kinds
        });
        while outgoing.is_pending() {
            outgoing.write(&ours).unwrap();
        }
        drop(ours);
        let kinds = reader.join().unwrap();
        assert_eq!(kinds[0], (wire::STDIN, STDIN_WINDOW));
        assert_eq!(kinds[1].0, wire::REQUEST);
        outgoing.credit(10);
        assert_eq!(outgoing.window(), 10);
        outgoing.credit(usize::MAX);
        assert_eq!(outgoing.window(), STDIN_WINDOW);
    }
}

//! The line with which a host process asks for a guest port: `CONNECT <port>\n`.

use std::io;
use std::os::fd::AsFd;

use rustix::net::{RecvFlags, recv};

/// `CONNECT 4294967295\n` has 19 bytes; a few more for leading zeroes.
const MAX_LINE: usize = 32;

/// A line that is still coming in.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    line: Vec<u8>,
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The line is not complete yet.
    Waiting,
    /// The guest port asked for.
    Port(u32),
    /// Not a greeting, too long, or the end.
    Refused,
}

impl Greeting {
    /// Reads up to the end of the line and not a byte further: what follows belongs to the guest.
    pub(super) fn read(&mut self, socket: impl AsFd) -> Progress {
        let mut piece = [0; MAX_LINE];
        loop {
            let peeked = match receive(&socket, &mut piece, RecvFlags::PEEK) {
                Ok(0) => return Progress::Refused,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waiting,
                Err(_) => return Progress::Refused,
            };
            let seen = piece.get(..peeked).unwrap_or_default();
            let end = seen.iter().position(|byte| *byte == b'\n');
            let take = end.map_or(peeked, |at| at + 1);
            if self.line.len() + take > MAX_LINE {
                return Progress::Refused;
            }
            self.line.extend_from_slice(seen.get(..take).unwrap_or_default());
            // The same bytes again, for good: nobody else reads this socket.
            let Some(buffer) = piece.get_mut(..take) else { return Progress::Refused };
            if !receive(&socket, buffer, RecvFlags::empty()).is_ok_and(|count| count == take) {
                return Progress::Refused;
            }
            if end.is_some() {
                return parse(&self.line).map_or(Progress::Refused, Progress::Port);
            }
        }
    }
}

fn receive(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (count, _) = recv(socket, buffer, flags | RecvFlags::DONTWAIT)?;
    Ok(count)
}

fn parse(line: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.strip_prefix("CONNECT ")?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // VMADDR_PORT_ANY is no port.
    digits.parse().ok().filter(|port| *port != u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn takes_the_line_and_leaves_the_rest() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut greeting = Greeting::default();
        assert_eq!(greeting.read(&ours), Progress::Waiting);
        theirs.write_all(b"CONN").unwrap();
        assert_eq!(greeting.read(&ours), Progress::Waiting);
        assert_eq!(greeting.read(&ours), Progress::Waiting);
        theirs.write_all(b"ECT 1024\nCONNECT 1\nrest").unwrap();
        assert_eq!(greeting.read(&ours), Progress::Port(1024));
        drop(theirs);
        let mut rest = String::new();
        (&ours).read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "CONNECT 1\nrest");
    }

    #[test]
    fn refuses_everything_else() {
        for line in [
            "\n",
            "CONNECT\n",
            "CONNECT \n",
            "CONNECT -1\n",
            "CONNECT +1\n",
            "CONNECT 1 \n",
            "CONNECT 4294967295\n",
            "CONNECT 99999999999\n",
            "connect 1\n",
            "GET / HTTP/1.1\r\n",
            "CONNECT 00000000000000000000000000001\n",
            "CONNECT 0000000000000000000000000000000000000000",
        ] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(line.as_bytes()).unwrap();
            assert_eq!(Greeting::default().read(&ours), Progress::Refused, "{line:?}");
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(Greeting::default().read(&ours), Progress::Refused);
    }
}

//! Names to addresses, without the C library: a static binary cannot load glibc's name service modules, which may not
//! even be there. Like Go's own resolver this reads `/etc/hosts` and `/etc/resolv.conf` and asks the name servers.

mod files;
mod message;

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use files::Resolution;
use message::{Answer, Kind};

/// Finds the addresses of hosts.
pub(crate) trait Lookup: Debug + Send + Sync {
    /// At least one address, or why there is none.
    fn lookup(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, LookupError>;
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum LookupError {
    #[error("there is no host of that name")]
    UnknownHost,
    #[error("the name has no address")]
    NoAddress,
    #[error("no name server answered ({0}); see /etc/resolv.conf")]
    Unanswered(String),
}

/// What this machine's files and name servers say.
#[derive(Debug)]
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, LookupError> {
        let found = files::in_hosts(&files::read(Path::new("/etc/hosts")), host);
        if !found.is_empty() {
            return Ok(found);
        }
        if is_localhost(host) {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        let resolution = Resolution::parse(&files::read(Path::new("/etc/resolv.conf")));
        ask_for(&resolution, host, deadline)
    }
}

/// The addresses of a host that is no registry, by the same rules: at least one, or the text why there is none.
pub fn lookup(host: &str, timeout: Duration) -> Result<Vec<IpAddr>, String> {
    match host.parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => SystemLookup.lookup(host, Instant::now() + timeout).map_err(|error| error.to_string()),
    }
}

/// Names that never leave this machine (RFC 6761, 6.3).
pub(crate) fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let last = host.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

fn ask_for(resolution: &Resolution, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, LookupError> {
    let mut outcome = LookupError::UnknownHost;
    for name in resolution.candidates(host) {
        let mut addresses = Vec::new();
        for kind in [Kind::A, Kind::Aaaa] {
            match ask_servers(resolution, &name, kind, deadline) {
                Ok(Answer::Addresses(found)) => {
                    if outcome == LookupError::UnknownHost {
                        outcome = LookupError::NoAddress;
                    }
                    addresses.extend(found);
                }
                // Then it has no address of the other kind either.
                Ok(_) => break,
                Err(error) => outcome = error,
            }
        }
        if !addresses.is_empty() {
            return Ok(addresses);
        }
    }
    Err(outcome)
}

/// An answer that is one: addresses, or that there is no such name.
fn ask_servers(
    resolution: &Resolution,
    name: &str,
    kind: Kind,
    deadline: Instant,
) -> Result<Answer, LookupError> {
    let mut reason = "timed out".to_owned();
    for _ in 0..resolution.attempts {
        for server in &resolution.servers {
            let left = deadline.saturating_duration_since(Instant::now()).min(resolution.timeout);
            if left.is_zero() {
                return Err(LookupError::Unanswered(reason));
            }
            let Some(question) = random().and_then(|id| message::question(id, name, kind)) else {
                return Err(LookupError::UnknownHost);
            };
            let deadline = Instant::now() + left;
            let answer = match by_datagram(*server, &question, deadline) {
                Ok(Answer::Truncated) => by_stream(*server, &question, deadline),
                answer => answer,
            };
            match answer {
                Ok(answer @ (Answer::Addresses(_) | Answer::NoName)) => return Ok(answer),
                Ok(Answer::Failed(code)) => reason = format!("{}: response code {code}", server.ip()),
                Ok(Answer::Truncated) => reason = format!("{}: truncated over TCP", server.ip()),
                Err(error) => reason = format!("{}: {error}", server.ip()),
            }
        }
    }
    Err(LookupError::Unanswered(reason))
}

fn by_datagram(server: SocketAddr, question: &[u8], deadline: Instant) -> std::io::Result<Answer> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Connected, from a port of the kernel's choice: nobody else's datagrams arrive.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut buffer = [0; 4096];
    loop {
        socket.set_read_timeout(Some(left(deadline)?))?;
        let length = match socket.recv(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(timed_out()),
            result => result?,
        };
        // A forged or late answer is not the end of waiting for the right one.
        if let Some(answer) = message::answer(question, buffer.get(..length).unwrap_or_default()) {
            return Ok(answer);
        }
    }
}

fn by_stream(server: SocketAddr, question: &[u8], deadline: Instant) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(&(question.len() as u16).to_be_bytes())?;
    stream.write_all(question)?;
    let mut read = |buffer: &mut [u8]| -> std::io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            stream.set_read_timeout(Some(left(deadline)?))?;
            match stream.read(buffer.get_mut(filled..).unwrap_or_default())? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(())
    };
    let mut length = [0; 2];
    read(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    read(&mut message)?;
    message::answer(question, &message)
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "malformed answer"))
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(left) }
}

fn timed_out() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "timed out")
}

/// An identifier that cannot be guessed from outside.
fn random() -> Option<u16> {
    let mut bytes = [0; 2];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
    (count == bytes.len()).then(|| u16::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name server that answers each question as `reply` says.
    fn server(reply: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                for answer in reply(&buffer[..length]) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        address
    }

    fn with_address(question: &[u8]) -> Vec<u8> {
        let mut answer = question.to_vec();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        if question[question.len() - 3] == Kind::A as u8 {
            answer[7] = 1;
            answer.extend_from_slice(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x05\x06\x07\x08");
        }
        answer
    }

    fn resolution(server: SocketAddr, timeout: Duration) -> Resolution {
        Resolution { servers: vec![server], search: vec!["corp".into()], ndots: 1, timeout, attempts: 1 }
    }

    fn ask(server: SocketAddr, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let timeout = Duration::from_secs(20);
        ask_for(&resolution(server, timeout), host, Instant::now() + timeout)
    }

    #[test]
    fn waits_for_the_right_answer_among_forged_ones() {
        let address = server(|question| {
            let mut forged = with_address(question);
            forged[0] ^= 1;
            *forged.last_mut().unwrap() = 99;
            vec![forged, b"garbage".to_vec(), with_address(question)]
        });
        assert_eq!(ask(address, "x.io"), Ok(vec!["5.6.7.8".parse().unwrap()]));
    }

    #[test]
    fn tries_the_search_domains() {
        let address = server(|question| {
            let mut answer = with_address(question);
            if !question.windows(4).any(|part| part == b"corp") {
                answer.truncate(question.len());
                answer[3] = 0x83;
                answer[7] = 0;
            }
            vec![answer]
        });
        assert_eq!(ask(address, "x"), Ok(vec!["5.6.7.8".parse().unwrap()]));
    }

    #[test]
    fn says_why_there_is_no_address() {
        let code = |code: u8| {
            server(move |question| {
                let mut answer = question.to_vec();
                answer[2..4].copy_from_slice(&[0x81, 0x80 | code]);
                vec![answer]
            })
        };
        assert_eq!(ask(code(3), "x.io"), Err(LookupError::UnknownHost));
        assert_eq!(ask(code(0), "x.io"), Err(LookupError::NoAddress));
        let failed = ask(code(2), "x.io").unwrap_err().to_string();
        assert!(failed.contains("127.0.0.1: response code 2"), "{failed}");
        let silent = resolution(server(|_| Vec::new()), Duration::from_millis(100));
        let silent =
            ask_for(&silent, "x.io", Instant::now() + Duration::from_secs(20)).unwrap_err().to_string();
        assert!(silent.contains("timed out"), "{silent}");
    }

    #[test]
    fn localhost_is_here() {
        for host in ["localhost", "LOCALHOST.", "registry.localhost"] {
            let found = SystemLookup.lookup(host, Instant::now()).unwrap();
            assert!(found.iter().all(IpAddr::is_loopback), "{host}: {found:?}");
        }
    }
}

//! Sockets of log daemons.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tokio::time::timeout;

use super::syslog::Address;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Where a syslog daemon of this machine may listen.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// Where messages go.
#[derive(Debug)]
pub(super) enum Endpoint {
    Journald(PathBuf),
    /// The first of some paths, datagrams or a stream.
    Local(Vec<PathBuf>),
    Stream(PathBuf),
    Datagram(PathBuf),
    /// What the user wrote, and its addresses.
    Udp(String, Vec<SocketAddr>),
    Tcp(String, Vec<SocketAddr>),
}

/// What came of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    TooLong,
    /// It may be sent again on another connection.
    Gone,
}

#[derive(Debug)]
pub(super) enum Connection {
    UnixDatagram(UnixDatagram),
    UnixStream(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Endpoint {
    /// `resolved` are the addresses that the engine found for a host's name.
    pub(super) fn syslog(address: &Address, resolved: &[SocketAddr]) -> Result<Endpoint, String> {
        let addresses = |host: &str, port: u16| match host.parse() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
            Err(_) if resolved.is_empty() => Err(format!("lookup {host}: no such host")),
            Err(_) => Ok(resolved.to_vec()),
        };
        Ok(match address {
            Address::Local => Endpoint::Local(LOCAL.map(PathBuf::from).to_vec()),
            Address::Stream(path) => Endpoint::Stream(path.clone()),
            Address::Datagram(path) => Endpoint::Datagram(path.clone()),
            Address::Udp(host, port) => Endpoint::Udp(format!("{host}:{port}"), addresses(host, *port)?),
            Address::Tcp(host, port) => Endpoint::Tcp(format!("{host}:{port}"), addresses(host, *port)?),
        })
    }

    /// The error is Docker's text.
    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let failed = |error: io::Error| format!("dial {self}: connect: {}", words(&error));
        match self {
            Endpoint::Journald(path) => {
                datagram(path).map_err(|_| "journald is not enabled on this host".to_owned())
            }
            Endpoint::Datagram(path) => datagram(path).map_err(failed),
            Endpoint::Stream(path) => stream(path).await.map_err(failed),
            Endpoint::Local(paths) => {
                for path in paths {
                    if let Ok(connection) = datagram(path) {
                        return Ok(connection);
                    }
                    if let Ok(connection) = stream(path).await {
                        return Ok(connection);
                    }
                }
                Err("Unix syslog delivery error".to_owned())
            }
            Endpoint::Udp(_, addresses) => first(addresses, udp).await.map_err(failed),
            Endpoint::Tcp(_, addresses) => first(addresses, tcp).await.map_err(failed),
        }
    }
}

/// The connection to the first of the addresses that takes one.
async fn first<F: Future<Output = io::Result<Connection>>>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<Connection> {
    let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        outcome = timeout(CONNECT, connect(*address)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn tcp(address: SocketAddr) -> io::Result<Connection> {
    Ok(Connection::Tcp(TcpStream::connect(address).await?))
}

async fn udp(address: SocketAddr) -> io::Result<Connection> {
    let any =
        if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let any: SocketAddr = any;
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(Connection::Udp(socket))
}

async fn stream(path: &Path) -> io::Result<Connection> {
    let connection = timeout(CONNECT, UnixStream::connect(path)).await;
    Ok(Connection::UnixStream(connection.unwrap_or(Err(io::ErrorKind::TimedOut.into()))?))
}

fn datagram(path: &Path) -> io::Result<Connection> {
    let socket = StdUnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(Connection::UnixDatagram(UnixDatagram::from_std(socket)?))
}

/// The system's text, without Rust's number behind it.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

impl Connection {
    pub(super) async fn send(&mut self, message: &[u8]) -> Sent {
        let sent = match self {
            Connection::UnixDatagram(socket) => socket.send(message).await.map(drop),
            Connection::Udp(socket) => socket.send(message).await.map(drop),
            Connection::UnixStream(socket) => socket.write_all(message).await,
            Connection::Tcp(socket) => socket.write_all(message).await,
        };
        match sent {
            Ok(()) => Sent::Yes,
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => Sent::TooLong,
            Err(_) => Sent::Gone,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Journald(path) | Endpoint::Datagram(path) => write!(f, "unixgram {}", path.display()),
            Endpoint::Stream(path) => write!(f, "unix {}", path.display()),
            Endpoint::Local(_) => f.write_str("the syslog daemon"),
            Endpoint::Udp(name, _) => write!(f, "udp {name}"),
            Endpoint::Tcp(name, _) => write!(f, "tcp {name}"),
        }
    }
}

//! The host's side: the listening socket and the sockets that guest ports lead to.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Longest path of a unix socket (unix(7): sun_path has 108 bytes, one for the NUL).
const MAX_SOCKET_PATH: usize = 107;
/// `_4294967295`.
const LONGEST_SUFFIX: usize = 11;

/// Why the host's side could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("cannot use vsock path {path}: it has {len} bytes, at most 96 fit; use a shorter run directory")]
    TooLong { path: PathBuf, len: usize },
    #[error("cannot listen on vsock socket {path}: {source}")]
    Listen { path: PathBuf, source: io::Error },
}

/// Where the device meets the host.
///
/// The listener may be made outside the jail, before it; `connect_base` is seen from inside, when the guest
/// connects.
#[derive(Debug)]
pub struct VsockHost {
    pub(super) listener: UnixListener,
    pub(super) connect_base: PathBuf,
}

impl VsockHost {
    /// Takes a listening socket and the path to which `_<port>` is appended for the guest's connections.
    ///
    /// # Errors
    /// If the path is too long for a unix socket, or the listener cannot be made non-blocking.
    pub fn new(listener: UnixListener, connect_base: PathBuf) -> Result<Self, HostError> {
        let len = connect_base.as_os_str().len();
        if len + LONGEST_SUFFIX > MAX_SOCKET_PATH {
            return Err(HostError::TooLong { path: connect_base, len });
        }
        if let Err(source) = listener.set_nonblocking(true) {
            return Err(HostError::Listen { path: connect_base, source });
        }
        Ok(Self { listener, connect_base })
    }

    /// Listens on `uds_path` (which must not exist) and uses it as the base too.
    ///
    /// # Errors
    /// If the path is too long, or bind(2) fails on it.
    pub fn bind(uds_path: &Path) -> Result<Self, HostError> {
        let listener = UnixListener::bind(uds_path)
            .map_err(|source| HostError::Listen { path: uds_path.to_owned(), source })?;
        Self::new(listener, uds_path.to_owned())
    }
}

/// Connects to the socket of a host port without waiting.
///
/// # Errors
/// `WouldBlock` if its backlog is full, others if nobody listens.
pub(super) fn dial(base: &Path, port: u32) -> io::Result<OwnedFd> {
    let mut path = OsString::from(base);
    path.push(format!("_{port}"));
    let address = SocketAddrUnix::new(&path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &address)?;
    Ok(socket)
}

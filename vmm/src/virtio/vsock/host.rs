//! The host's side: the listening socket and the sockets that guest ports lead to.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
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
    /// If bind(2) fails on it.
    pub fn bind(uds_path: &Path) -> Result<Self, HostError> {
        Self::new(listen(uds_path)?, uds_path.to_owned())
    }
}

/// Listens on `uds_path`, which must not exist.
///
/// The directory is named through its descriptor in /proc: a socket's address holds 107 bytes (unix(7)), and paths of
/// run directories with a container's id in them are longer than that.
///
/// # Errors
/// If the directory cannot be opened or bind(2) fails.
pub fn listen(uds_path: &Path) -> Result<UnixListener, HostError> {
    let failed = |source: io::Error| HostError::Listen { path: uds_path.to_owned(), source };
    let directory = uds_path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = uds_path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
    let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    UnixListener::bind(path).map_err(failed)
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

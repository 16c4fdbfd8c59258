//! Connections to the host.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, connect as connect_socket, socket};

/// The host's well-known context id.
const HOST: u32 = nix::libc::VMADDR_CID_HOST;

/// Starts to connect; `FdStream::connected` waits until it is done.
///
/// # Errors
/// Of `socket` and `connect`.
pub(crate) fn connect(port: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Vsock, SockType::Stream, flags, None)?;
    match connect_socket(socket.as_raw_fd(), &VsockAddr::new(HOST, port)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

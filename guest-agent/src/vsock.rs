//! Connections to the host.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, connect as connect_socket, socket};

/// The host's well-known context id.
const HOST: u32 = libc::VMADDR_CID_HOST;
/// Bytes that the host may send ahead of us; the kernel's default of 256 KiB is what bounds a stream's speed.
static BUFFER: u64 = 1 << 20;
/// How long the host may take to accept. The kernel's 2 seconds are too few for a host that starts many guests at once,
/// and a stream that gave up would be missed for ever; the host has its own deadline and ends the guest at it.
static PATIENCE: libc::timeval = libc::timeval { tv_sec: 600, tv_usec: 0 };
/// `SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW` of linux/vm_sockets.h, with 64 bit times.
const CONNECT_TIMEOUT: libc::c_int = 8;
/// `SO_VM_SOCKETS_BUFFER_SIZE` of linux/vm_sockets.h.
const BUFFER_SIZE: libc::c_int = 0;
/// `SO_VM_SOCKETS_BUFFER_MAX_SIZE`: the other one's bound, so it comes first.
const BUFFER_MAX_SIZE: libc::c_int = 2;

/// Starts to connect; `FdStream::connected` waits until it is done.
///
/// # Errors
/// Of `socket` and `connect`.
pub(crate) fn connect(port: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Vsock, SockType::Stream, flags, None)?;
    for option in [BUFFER_MAX_SIZE, BUFFER_SIZE] {
        set(&socket, option, &BUFFER)?;
    }
    set(&socket, CONNECT_TIMEOUT, &PATIENCE)?;
    match connect_socket(socket.as_raw_fd(), &VsockAddr::new(HOST, port)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Sets an option of the vsock level, which is the address family's number (vm_sockets.h).
fn set<T: Copy>(socket: &OwnedFd, option: libc::c_int, value: &'static T) -> io::Result<()> {
    let (value, length) = (std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: the value lives for ever, is as long as is said, and the options take plain numbers.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), libc::AF_VSOCK, option, value, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

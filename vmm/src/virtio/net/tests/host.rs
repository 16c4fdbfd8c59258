//! The host's end: a persistent tap in a new network namespace, and a packet socket on it.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, open};

pub(super) const TAP: &str = "tap0";
/// Local experimental (IEEE 802), and IPv4.
const ETHERTYPES: [[u8; 2]; 2] = [[0x88, 0xb5], [0x08, 0x00]];
const PACKET_VNET_HDR: libc::c_int = 15;

nix::ioctl_write_ptr_bad!(
    tunsetiff,
    nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
    libc::ifreq
);
nix::ioctl_write_int_bad!(tunsetpersist, nix::request_code_write!(b'T', 203, size_of::<libc::c_int>()));
nix::ioctl_write_ptr_bad!(setflags, libc::SIOCSIFFLAGS, libc::ifreq);

/// Runs a test on a thread in a network namespace of its own, which ends with it.
pub(super) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let run = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need the right to make network namespaces");
        test();
    };
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

pub(super) struct Host {
    packets: OwnedFd,
    segments: OwnedFd,
}

impl Host {
    pub(super) fn new() -> Self {
        // Otherwise the kernel would look for IPv6 routers between the test's frames. Absent without IPv6.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        let tun = open("/dev/net/tun", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let mut request = request(TAP);
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
        // SAFETY: a valid ifreq.
        unsafe { tunsetiff(tun.as_raw_fd(), &raw const request) }.unwrap();
        // SAFETY: takes its argument by value.
        unsafe { tunsetpersist(tun.as_raw_fd(), 1) }.unwrap();
        drop(tun);
        let segments = packet_socket();
        let yes: libc::c_int = 1;
        // SAFETY: PACKET_VNET_HDR reads one int.
        let result = unsafe {
            libc::setsockopt(
                segments.as_raw_fd(),
                libc::SOL_PACKET,
                PACKET_VNET_HDR,
                (&raw const yes).cast(),
                size_of_val(&yes) as libc::socklen_t,
            )
        };
        assert_eq!(result, 0);
        Self { packets: packet_socket(), segments }
    }

    pub(super) fn send(&self, frame: &[u8]) {
        write(&self.packets, frame);
    }

    /// A TCP frame that the network card is to cut into segments of 1460 bytes.
    pub(super) fn send_segments(&self, frame: &[u8]) {
        // virtio_net_hdr: needs a checksum at 34 + 16, TCP over IPv4, headers of 54 bytes.
        let mut bytes = vec![1, 1];
        for field in [54_u16, 1460, 34, 16] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(frame);
        write(&self.segments, &bytes);
    }

    /// The next frame that the guest has sent.
    pub(super) fn receive(&self) -> Vec<u8> {
        loop {
            let mut frame = vec![0; 70_000];
            // SAFETY: sockaddr_ll is plain data for which all zeroes is valid.
            let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            let mut from_len = size_of_val(&from) as libc::socklen_t;
            // SAFETY: the buffer has the length that is given, and so has the address.
            let len = unsafe {
                libc::recvfrom(
                    self.packets.as_raw_fd(),
                    frame.as_mut_ptr().cast(),
                    frame.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut from_len,
                )
            };
            if len < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENETDOWN) {
                // News of the interface, told once.
                continue;
            }
            frame.truncate(usize::try_from(len).expect("a frame within a minute"));
            // The socket sees what the host sends, too.
            if from.sll_pkttype != libc::PACKET_OUTGOING && is_ours(&frame) {
                return frame;
            }
        }
    }
}

fn write(socket: &OwnedFd, frame: &[u8]) {
    let sent = match rustix::io::write(socket, frame) {
        // The socket tells once that the interface was down when it was bound.
        Err(rustix::io::Errno::NETDOWN) => rustix::io::write(socket, frame),
        result => result,
    };
    assert_eq!(sent, Ok(frame.len()));
}

pub(super) fn is_ours(frame: &[u8]) -> bool {
    ETHERTYPES.iter().any(|kind| frame.get(12..14) == Some(kind))
}

/// An Ethernet frame of `len` bytes.
pub(super) fn frame(to: [u8; 6], len: usize) -> Vec<u8> {
    let mut frame = [&to[..], &[2, 0, 0, 0, 0, 1], &ETHERTYPES[0]].concat();
    frame.extend((frame.len()..len).map(|i| (i * 7) as u8));
    frame
}

/// A TCP segment over IPv4 with `len` bytes of payload, far more than one frame can carry.
pub(super) fn tcp_frame(to: [u8; 6], len: usize) -> Vec<u8> {
    let mut frame = [&to[..], &[2, 0, 0, 0, 0, 1], &ETHERTYPES[1]].concat();
    frame.extend([0x45, 0]);
    frame.extend((40 + len as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend((0..len).map(|i| (i * 11 % 253) as u8));
    frame
}

pub(super) fn set_up(name: &str, up: bool) {
    // SAFETY: plain arguments.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    assert!(socket >= 0);
    // SAFETY: a socket that was opened just now and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = if up { libc::IFF_UP as libc::c_short } else { 0 };
    // SAFETY: a valid ifreq.
    unsafe { setflags(socket.as_raw_fd(), &raw const request) }.unwrap();
}

fn request(name: &str) -> libc::ifreq {
    // SAFETY: ifreq is plain data for which all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn packet_socket() -> OwnedFd {
    let all = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: plain arguments.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, all.into()) };
    assert!(socket >= 0, "{}", io::Error::last_os_error());
    // SAFETY: a socket that was opened just now and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: sockaddr_ll is plain data for which all zeroes is valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = all;
    address.sll_ifindex = if_nametoindex(TAP).unwrap() as i32;
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: a valid sockaddr_ll and its length.
    assert_eq!(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) }, 0);
    let patience = libc::timeval { tv_sec: 60, tv_usec: 0 };
    let len = size_of_val(&patience) as libc::socklen_t;
    // SAFETY: SO_RCVTIMEO reads a timeval.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            (&raw const patience).cast(),
            len,
        )
    };
    assert_eq!(result, 0);
    socket
}

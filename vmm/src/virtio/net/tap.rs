//! A tap device of the host that exists already.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::net::if_::if_nametoindex;
use rustix::fs::{Mode, OFlags, open};

use super::frame::HEADER_LEN;

const TUN: &str = "/dev/net/tun";
/// linux/if_tun.h, since 6.2: the tap may hand out UDP segments, over IPv4 and IPv6.
const TUN_F_USO: u32 = 0x20 | 0x40;
const TUN_F_CSUM: u32 = libc::TUN_F_CSUM;
const TUN_F_TSO: u32 = libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;

nix::ioctl_write_ptr_bad!(
    tunsetiff,
    nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
    libc::ifreq
);
nix::ioctl_write_int_bad!(tunsetoffload, nix::request_code_write!(b'T', 208, size_of::<libc::c_uint>()));
nix::ioctl_write_ptr_bad!(
    tunsetvnethdrsz,
    nix::request_code_write!(b'T', 216, size_of::<libc::c_int>()),
    libc::c_int
);

/// Why a tap cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    #[error("cannot open {TUN}: {0}; load the tun module")]
    Open(io::Error),
    #[error("there is no network interface {name:?} to use as a tap: {source}")]
    Absent { name: String, source: io::Error },
    #[error(
        "cannot attach to tap {name:?}: {source}; it must be a tap without multi_queue that nobody else uses"
    )]
    Attach { name: String, source: io::Error },
    #[error("cannot set {what} of a tap: {source}; it needs a kernel with vnet headers")]
    Configure { what: &'static str, source: io::Error },
}

/// An attached tap, non-blocking, with headers of 12 bytes.
#[derive(Debug)]
pub struct Tap {
    file: OwnedFd,
    /// What it can hand out: `TUN_F_*`.
    pub(super) offloads: u32,
}

impl Tap {
    /// Attaches to the tap `name` of the current network namespace.
    ///
    /// # Errors
    /// If there is no such tap, it is busy, or the caller may not use it.
    pub fn open(name: &str) -> Result<Self, TapError> {
        // TUNSETIFF would make a new interface, and hide the mistake.
        if_nametoindex(name)
            .map_err(|error| TapError::Absent { name: name.to_owned(), source: error.into() })?;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open(TUN, flags, Mode::empty()).map_err(|error| TapError::Open(error.into()))?;
        // SAFETY: ifreq is plain data for which all zeroes is valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // if_nametoindex has refused names that do not fit with their NUL.
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
        // SAFETY: `request` is a valid ifreq with name and flags, as TUNSETIFF reads.
        unsafe { tunsetiff(file.as_raw_fd(), &raw const request) }
            .map_err(|error| TapError::Attach { name: name.to_owned(), source: error.into() })?;
        Self::from_fd(file)
    }

    /// Takes an attached tap (`IFF_TAP | IFF_NO_PI | IFF_VNET_HDR`, `O_NONBLOCK`).
    ///
    /// # Errors
    /// If the tap has no vnet headers.
    pub fn from_fd(file: OwnedFd) -> Result<Self, TapError> {
        let size = HEADER_LEN as libc::c_int;
        // SAFETY: TUNSETVNETHDRSZ reads one int.
        unsafe { tunsetvnethdrsz(file.as_raw_fd(), &raw const size) }
            .map_err(|error| TapError::Configure { what: "the header size", source: error.into() })?;
        let mut tap = Self { file, offloads: 0 };
        for offloads in [TUN_F_CSUM | TUN_F_TSO | TUN_F_USO, TUN_F_CSUM | TUN_F_TSO, TUN_F_CSUM] {
            if tap.set_offloads(offloads).is_ok() {
                tap.offloads = offloads;
                break;
            }
        }
        // Nothing until the driver has said what it can take.
        tap.set_offloads(0).map_err(|source| TapError::Configure { what: "the offloads", source })?;
        Ok(tap)
    }

    /// What the tap may leave undone in frames that are read from it (`TUN_F_*`).
    pub(super) fn set_offloads(&self, offloads: u32) -> io::Result<()> {
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        unsafe { tunsetoffload(self.file.as_raw_fd(), offloads as libc::c_int) }?;
        Ok(())
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

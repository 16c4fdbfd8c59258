//! Names of the host and the loopback interface in namespaces that were just made.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::os::fd::AsRawFd;

use crate::error::{Context, Error};

/// Sets hostname and NIS domain name where the spec has them.
pub(crate) fn set_names(hostname: Option<&str>, domainname: Option<&str>) -> Result<(), Error> {
    if let Some(name) = hostname.filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes()).context(|| format!("set hostname {name}"))?;
    }
    if let Some(name) = domainname.filter(|name| !name.is_empty()) {
        rustix::system::setdomainname(name.as_bytes()).context(|| format!("set domainname {name}"))?;
    }
    Ok(())
}

/// Switches the loopback interface of a new network namespace on (netdevice(7), SIOCSIFFLAGS).
pub(crate) fn loopback_up() -> Result<(), Error> {
    let doing = || "switch the loopback interface on";
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .context(doing)?;
    // SAFETY: all zeroes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads the ifreq, which is initialised.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) } < 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        return Err(Errno::from_raw_os_error(errno)).context(doing);
    }
    Ok(())
}

//! SCMP_ACT_NOTIFY: the listener goes to the agent at `listenerPath` with the state of the container
//! (runtime-spec, "The Container Process State").

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use oci_spec::runtime::LinuxSeccomp;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, sendmsg,
};
use rustix::process::Pid;

use crate::error::{Context, Error};

/// Sends `listener` to the agent of the profile. `state` is the container's state as JSON.
pub(crate) fn hand_over(
    profile: Option<&LinuxSeccomp>,
    listener: BorrowedFd<'_>,
    pid: Pid,
    state: &str,
) -> Result<(), Error> {
    let path = profile
        .and_then(|profile| profile.listener_path().as_ref())
        .ok_or_else(|| Error::spec("linux.seccomp: SCMP_ACT_NOTIFY without listenerPath"))?;
    let doing = || format!("hand the seccomp listener to {}", path.display());
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .context(doing)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).context(doing)?).context(doing)?;
    let metadata = profile.and_then(|profile| profile.listener_metadata().clone()).unwrap_or_default();
    let state: serde_json::Value = serde_json::from_str(state).unwrap_or_default();
    let text = serde_json::json!({
        "ociVersion": "1.2.1",
        "fds": ["seccompFd"],
        "pid": pid.as_raw_nonzero().get(),
        "metadata": metadata,
        "state": state,
    })
    .to_string();
    let fds = [listener];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    let slices = [IoSlice::new(text.as_bytes())];
    rustix::io::retry_on_intr(|| sendmsg(&socket, &slices, &mut ancillary, SendFlags::NOSIGNAL))
        .context(doing)
        .map(drop)
}

//! Makes the guest what this start needs, in the order in which things depend on each other: the clock and the
//! randomness before anything that stamps or draws, the shares, then the network.

mod clock;
mod entropy;

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;
use sandbox_protocol::Setup;

use crate::{mounts, netlink};

/// The share that is mounted read-only on this side too.
const READ_ONLY: &str = "readonly";
/// Longest tag of a virtio-fs device, bytes (virtio 1.3, section 5.11.4).
const MAX_TAG: usize = 36;

/// Does all of it.
///
/// # Errors
/// What was tried and why it failed.
pub(crate) fn run(setup: &Setup) -> Result<(), String> {
    clock::step(setup.realtime_ns)?;
    entropy::credit(&setup.entropy)?;
    for tag in &setup.shares {
        mount_share(tag)?;
    }
    if !setup.hostname.is_empty() {
        rustix::system::sethostname(setup.hostname.as_bytes())
            .map_err(|error| format!("set the host name {:?}: {error}", setup.hostname))?;
    }
    netlink::configure(&setup.links)
}

fn mount_share(tag: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if tag.is_empty() || tag.len() > MAX_TAG || !tag.chars().all(plain) {
        return Err(format!("mount a share: {tag:?} is not a tag"));
    }
    let read_only = if tag == READ_ONLY { MountFlags::RDONLY } else { MountFlags::empty() };
    mounts::mount_from("virtiofs", tag, &format!("{}/{tag}", mounts::SHARES), read_only)
}

/// Writes back what the guest caches of its shares.
///
/// # Errors
/// Which share, and why.
pub(crate) fn sync_shares() -> Result<(), String> {
    let Ok(shares) = std::fs::read_dir(mounts::SHARES) else { return Ok(()) };
    for share in shares.flatten().filter(|share| share.file_name() != READ_ONLY) {
        let path = share.path();
        let directory: Result<OwnedFd, _> =
            rustix::fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        directory
            .and_then(|directory| rustix::fs::syncfs(&directory))
            .map_err(|error| format!("write back {}: {error}", path.display()))?;
    }
    Ok(())
}

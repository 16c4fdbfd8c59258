//! What is told of a running container, and new limits for it.

use oci_spec::runtime::LinuxResources;
use sandbox_container::{Stats, Usage};
use serde::{Deserialize, Serialize};

/// What a container uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Of the machine that it runs on: this host, or its guest.
    pub container: Usage,
    /// What it costs this host where that is something else: the cgroup of a microVM's monitor.
    pub host: Option<Stats>,
}

/// New limits of a running container. What is not named stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Of its own cgroup, wherever that is.
    pub container: LinuxResources,
    /// Of a microVM's monitor on this host.
    pub monitor: Option<LinuxResources>,
    /// RAM that a microVM shall have, MiB: at most what it was booted with.
    pub memory_mib: Option<u64>,
}

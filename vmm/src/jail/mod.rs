//! The prison that the monitor builds around itself before the guest's first instruction.
//!
//! What stays: files opened before, a root that holds the shares and the vsock directory and nothing else, an
//! unprivileged user. What goes: every other file, the host's mounts, network, IPC and names, capabilities (but for
//! the file server's threads), and with [`crate::seccomp`] most system calls.

mod files;
mod mounts;
pub(crate) mod privileges;
mod process;

use std::io;
use std::path::PathBuf;

use crate::config::{JailConfig, VmConfig};
use crate::thread;

pub use process::{close_inherited_files, die_with_parent, share_heap};

/// Where a share appears in the jail: `/fs/<tag>`.
const FS_DIR: &str = "fs";
/// Where the directory of the vsock sockets appears in the jail.
const VSOCK_DIR: &str = "vsock";

#[derive(Debug, thiserror::Error)]
#[error("cannot enter the jail: {what}: {source}; run sandbox as root")]
pub struct Error {
    what: String,
    source: io::Error,
}

/// Adds what was tried to an error.
fn during(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error { what, source }
}

/// Joins the machine's cgroup. Call after `KVM_CREATE_VM` and before memory is allocated.
///
/// # Errors
/// If the cgroup is not there or full.
pub fn join_cgroup(jail: &JailConfig) -> Result<(), Error> {
    let Some(cgroup) = &jail.cgroup else { return Ok(()) };
    let path = cgroup.join("cgroup.procs");
    std::fs::write(&path, "0").map_err(during(format!("cannot join cgroup {}", path.display())))
}

/// Enters the jail; returns the configuration with paths as they are inside.
///
/// The process must have one thread. The calling thread keeps the file server's capabilities until
/// [`finish`] so that it can start the thread that passes them on.
///
/// # Errors
/// Names the step that failed; the process is then half jailed and must end.
pub fn enter(config: &VmConfig, jail: &JailConfig) -> Result<VmConfig, Error> {
    files::limit(jail.max_files)?;
    let trees = mounts::Trees::clone_from_host(config)?;
    if let Some(vsock) = &config.vsock {
        files::give_sockets(&vsock.uds_path, jail.uid, jail.gid)?;
    }
    mounts::leave_host(&trees)?;
    privileges::become_user(jail.uid, jail.gid).map_err(during("cannot change the user"))?;
    privileges::keep_for_file_server(!config.fs.is_empty()).map_err(during("cannot drop capabilities"))?;
    process::harden()?;
    process::read_auxiliary_vector();
    thread::confine_new_threads();
    Ok(inside(config))
}

/// Gives up the last capabilities of the calling thread.
///
/// # Errors
/// Those of capset(2).
pub fn finish() -> Result<(), Error> {
    privileges::drop_all().map_err(during("cannot drop capabilities"))
}

/// The configuration as it looks from inside the jail.
fn inside(config: &VmConfig) -> VmConfig {
    let mut inside = config.clone();
    for fs in &mut inside.fs {
        fs.path = PathBuf::from(format!("/{FS_DIR}/{}", fs.tag));
    }
    if let Some(vsock) = &mut inside.vsock {
        let name = vsock.uds_path.file_name().unwrap_or_default();
        vsock.uds_path = PathBuf::from(format!("/{VSOCK_DIR}")).join(name);
    }
    inside
}

#[cfg(test)]
mod tests;

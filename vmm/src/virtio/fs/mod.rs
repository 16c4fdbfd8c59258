//! The virtio-fs device (virtio 1.2, section 5.11): shares directories of the host with the guest.
//!
//! Layers, each knowing only the next: `device` and `worker` move descriptor chains; `server` speaks FUSE
//! (`protocol`); `filesystem` is what it asks for; `passthrough` answers from a directory of the host,
//! `read_only` forbids writing. `inodes` and `handles` hold, within bounds, what the guest refers to.
//!
//! Runs on threads of kind `Fs`, in the monitor's process: guest memory can then be mapped privately. They
//! need the capabilities CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID SETUID SETGID SETFCAP MKNOD, and
//! SETPCAP or SECBIT_NO_SETUID_FIXUP already set saves two system calls when the guest's user changes.

mod blocked;
mod buffers;
mod chain;
mod device;
mod filesystem;
mod handles;
mod inodes;
#[cfg(test)]
mod kernel_tests;
mod passthrough;
mod pool;
mod protocol;
mod read_only;
mod server;
mod sys;
#[cfg(test)]
mod test_client;
#[cfg(test)]
mod test_mount;
#[cfg(test)]
mod tests;
mod worker;

pub use device::{Fs, FsError};
pub use passthrough::{ShareError, ShareRoot, open_proc_self_fd};

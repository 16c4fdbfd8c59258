//! Opens everything that the machine needs from the host, before the jail takes the paths away.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use kvm_ioctls::{Kvm, VmFd};

use super::devices::{self, Prepared};
use super::missing_capability;
use crate::config::VmConfig;

const KVM_PATH: &str = "/dev/kvm";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{KVM_PATH}: permission denied; add yourself to the kvm group or use --isolation=process")]
    KvmDenied,
    #[error(
        "{KVM_PATH}: {0}; load the kvm_intel or kvm_amd module (and enable virtualization in the firmware) or use \
         --isolation=process"
    )]
    KvmAbsent(io::Error),
    #[error("{KVM_PATH}: this host's KVM lacks {0}; use --isolation=process")]
    KvmLacks(String),
    #[error("{KVM_PATH}: cannot create a virtual machine: {0}; use --isolation=process")]
    CreateVm(io::Error),
    #[error("{KVM_PATH}: {asked} vCPUs are more than this host's KVM allows ({max}); ask for fewer")]
    TooManyVcpus { asked: u8, max: usize },
    #[error("{what} {path}: {source}; {remedy}")]
    File { what: &'static str, path: String, source: io::Error, remedy: &'static str },
    #[error("{0}")]
    Device(#[from] devices::Error),
}

/// KVM and a fresh virtual machine.
#[derive(Debug)]
pub struct KvmFiles {
    pub(super) kvm: Kvm,
    pub(super) vm: VmFd,
}

/// All that [`super::Machine::build`] needs from outside.
#[derive(Debug)]
pub struct Opened {
    pub(super) kvm: KvmFiles,
    pub(super) kernel: File,
    pub(super) initramfs: File,
    pub(super) devices: Prepared,
}

impl KvmFiles {
    /// Opens KVM and creates the VM. Inside a cgroup `KVM_CREATE_VM` is some 27 ms slower, so join it afterwards.
    ///
    /// # Errors
    /// If KVM is not there, not permitted or too old.
    pub fn create(vcpus: u8) -> Result<Self, Error> {
        let kvm = Kvm::new().map_err(|error| {
            let error = io::Error::from(error);
            if error.kind() == io::ErrorKind::PermissionDenied {
                Error::KvmDenied
            } else {
                Error::KvmAbsent(error)
            }
        })?;
        if let Some(lack) = missing_capability(&kvm) {
            return Err(Error::KvmLacks(lack));
        }
        let max = kvm.get_max_vcpus();
        if usize::from(vcpus) > max {
            return Err(Error::TooManyVcpus { asked: vcpus, max });
        }
        let vm = kvm.create_vm().map_err(|error| Error::CreateVm(error.into()))?;
        Ok(Self { kvm, vm })
    }
}

impl Opened {
    /// Opens the files of a validated configuration.
    ///
    /// # Errors
    /// Those of KVM and of each file, named.
    pub fn open(config: &VmConfig) -> Result<Self, Error> {
        let kvm = KvmFiles::create(config.vcpus)?;
        let remedy = "install it beside sandbox-vmm or name another directory in SANDBOX_LIBEXEC";
        let kernel = open_regular("kernel", &config.kernel, remedy)?;
        let initramfs = open_regular("initramfs", &config.initramfs, remedy)?;
        Ok(Self { kvm, kernel, initramfs, devices: Prepared::open(config)? })
    }
}

/// Opens a regular file for reading; a FIFO in its place does not block us.
fn open_regular(what: &'static str, path: &Path, remedy: &'static str) -> Result<File, Error> {
    let error = |source| Error::File { what, path: path.display().to_string(), source, remedy };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)
        .map_err(error)?;
    if file.metadata().map_err(error)?.is_file() {
        Ok(file)
    } else {
        Err(error(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")))
    }
}

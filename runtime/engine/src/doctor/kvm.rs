//! Whether KVM works: opened, asked for its version, given a machine, and that machine run.

use std::io;

use kvm_bindings::{KVM_API_VERSION, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, Kvm, VcpuExit};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::io::Errno;

use super::Finding;
use crate::error::Error;

const DEVICE: &str = "/dev/kvm";
const KVM_API: i32 = KVM_API_VERSION as i32;
const BROKEN: &str = "this KVM is not usable; use --isolation=process";
const MEMORY: usize = 4096;
/// Guest physical address of the code.
const START: u64 = 0x1000;
/// `hlt`.
const CODE: [u8; 1] = [0xf4];

/// What the monitor cannot do without.
const NEEDED: [(Cap, &str); 6] = [
    (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
    (Cap::Irqfd, "KVM_CAP_IRQFD"),
    (Cap::Ioeventfd, "KVM_CAP_IOEVENTFD"),
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
];

/// Why `--isolation=vm` cannot even begin here; None when the device opens and is KVM. Two system calls, because
/// every start asks.
pub(crate) fn open_error() -> Option<Error> {
    let (cause, remedy) = open().err()?;
    Some(Error::VmUnusable { cause, remedy })
}

fn open() -> Result<Kvm, (String, &'static str)> {
    let kvm = Kvm::new().map_err(|e| explain(Errno::from_raw_os_error(e.errno())))?;
    match kvm.get_api_version() {
        KVM_API => Ok(kvm),
        version if version < 0 => {
            Err((format!("{DEVICE} is not KVM"), "put the real device there, or use --isolation=process"))
        }
        version => Err((format!("{DEVICE} has API version {version}, not {KVM_API}"), BROKEN)),
    }
}

fn explain(errno: Errno) -> (String, &'static str) {
    let words = match errno {
        Errno::ACCESS | Errno::PERM => {
            ("permission denied", "add yourself to the kvm group or use --isolation=process")
        }
        Errno::NOENT => (
            "no such file or directory",
            "load the module (modprobe kvm_intel or kvm_amd), turn virtualization on in the firmware, \
             or use --isolation=process",
        ),
        Errno::NODEV | Errno::NXIO => (
            "no such device",
            "load the module (modprobe kvm_intel or kvm_amd), turn virtualization on in the firmware, \
             or use --isolation=process",
        ),
        Errno::BUSY => {
            ("busy", "another hypervisor holds the CPU's virtualization; stop it or use --isolation=process")
        }
        other => return (format!("{DEVICE}: {}", io::Error::from(other)), "use --isolation=process"),
    };
    (format!("{DEVICE}: {}", words.0), words.1)
}

pub(super) fn examine() -> Finding {
    match probe() {
        Ok(()) => Finding::ok("kvm", format!("{DEVICE} opens, makes machines and runs them")),
        Err((detail, remedy)) => Finding::fail("kvm", detail, remedy),
    }
}

fn probe() -> Result<(), (String, &'static str)> {
    let kvm = open()?;
    if let Some((_, name)) = NEEDED.iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
        return Err((format!("{DEVICE} does not have {name}"), "use a newer kernel, or --isolation=process"));
    }
    let failed = |what: &'static str| move |e: kvm_ioctls::Error| (format!("{DEVICE}: {what}: {e}"), BROKEN);
    let vm = kvm.create_vm().map_err(failed("KVM_CREATE_VM"))?;
    let memory = GuestPage::new().map_err(|e| (format!("map memory: {e}"), BROKEN))?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: START,
        memory_size: MEMORY as u64,
        userspace_addr: memory.0.as_ptr() as u64,
    };
    // SAFETY: the region is a mapping of MEMORY bytes that outlives the machine: `memory` is dropped after `vm`.
    unsafe { vm.set_user_memory_region(region) }.map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
    let mut vcpu = vm.create_vcpu(0).map_err(failed("KVM_CREATE_VCPU"))?;
    let mut sregs = vcpu.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs).map_err(failed("KVM_SET_SREGS"))?;
    let mut regs = vcpu.get_regs().map_err(failed("KVM_GET_REGS"))?;
    (regs.rip, regs.rflags) = (START, 2);
    vcpu.set_regs(&regs).map_err(failed("KVM_SET_REGS"))?;
    match vcpu.run().map_err(failed("KVM_RUN"))? {
        VcpuExit::Hlt => Ok(()),
        other => Err((format!("{DEVICE}: a machine that halts at once gave {other:?} instead"), BROKEN)),
    }
}

/// One page with the guest's code.
struct GuestPage(std::ptr::NonNull<std::ffi::c_void>);

impl GuestPage {
    fn new() -> io::Result<GuestPage> {
        let size = std::num::NonZeroUsize::new(MEMORY).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping where the kernel wants it takes the place of nothing.
        let page = unsafe { mmap_anonymous(None, size, protection, MapFlags::MAP_PRIVATE) }?;
        // SAFETY: the page is ours, writable, larger than the code, and nobody else knows of it.
        unsafe { std::ptr::copy_nonoverlapping(CODE.as_ptr(), page.as_ptr().cast(), CODE.len()) };
        Ok(GuestPage(page))
    }
}

impl Drop for GuestPage {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new` with this size and is used no more.
        let _ = unsafe { munmap(self.0, MEMORY) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_remedies() {
        let (cause, remedy) = explain(Errno::ACCESS);
        assert_eq!(
            Error::VmUnusable { cause, remedy }.to_string(),
            "cannot use isolation \"vm\": /dev/kvm: permission denied; \
             add yourself to the kvm group or use --isolation=process"
        );
        assert!(explain(Errno::NOENT).0.ends_with("no such file or directory"));
        assert!(explain(Errno::MFILE).0.starts_with("/dev/kvm: "));
    }

    #[test]
    fn a_kvm_that_opens_runs_a_halt() {
        // Where there is no KVM the probe must say so, and both ways of asking must agree.
        let probed = probe();
        match open_error() {
            None => probed.unwrap(),
            Some(_) => assert!(probed.is_err()),
        }
    }
}

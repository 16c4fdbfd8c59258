//! A whole machine: KVM, memory, processors and devices put together, started and stopped.

mod devices;
mod open;
pub mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;

use kvm_bindings::KVM_API_VERSION;
use kvm_ioctls::{Cap, VcpuFd, VmFd};

use crate::arch::{boot, cpuid, layout, msr, registers};
use crate::bus;
use crate::cmdline;
use crate::config::VmConfig;
use crate::control::ExitReason;
use crate::legacy::console::Ring;
use crate::memory;
use crate::vcpu::{self, Buses, Request, Shared};
use crate::virtio::GuestRam;
use crate::virtio::balloon::BalloonHandle;
use crate::virtio::mmio::MmioTransport;

pub use open::{Error as OpenError, KvmFiles, Opened};
use worker::Worker;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Config(#[from] crate::config::Invalid),
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Memory(#[from] memory::Error),
    #[error("{0}")]
    Boot(#[from] boot::Error),
    #[error("{0}")]
    Registers(#[from] registers::Error),
    #[error("{what}: {source}; this host's KVM cannot run the machine, use --isolation=process")]
    Kvm { what: &'static str, source: kvm_ioctls::Error },
    #[error("{0}")]
    Device(#[from] devices::Error),
    #[error("{0}")]
    Bus(#[from] bus::Overlap),
    #[error("cannot make an eventfd or a thread: {0}; raise the limit on open files and processes")]
    Resources(#[from] std::io::Error),
}

/// The balloon counts in pages of 4 KiB.
const PAGES_PER_MIB: u64 = 256;

/// Adds what was tried to an error of KVM.
fn kvm_error(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> Error {
    move |source| Error::Kvm { what, source }
}

/// A machine that can be started once.
#[derive(Debug)]
pub struct Machine {
    shared: Arc<Shared>,
    console: Arc<Ring>,
    transports: Vec<Arc<MmioTransport>>,
    balloon: Option<BalloonHandle>,
    memory_mib: u64,
    vcpus: Vec<vcpu::Handle>,
    starter: Option<JoinHandle<()>>,
    /// Keeps guest RAM and the VM alive as long as anything may use them.
    memory: GuestRam,
    _vm: VmFd,
}

impl Machine {
    /// Builds the machine from what was opened before the jail; its vCPU threads exist and wait.
    ///
    /// # Errors
    /// See [`Error`]; nothing of the machine is left then.
    pub fn build(config: &VmConfig, opened: Opened) -> Result<Self, Error> {
        let Opened { kvm: KvmFiles { kvm, vm }, kernel, initramfs, devices } = opened;
        vm.set_tss_address(layout::KVM_TSS as usize).map_err(kvm_error("KVM_SET_TSS_ADDR"))?;
        vm.create_irq_chip().map_err(kvm_error("KVM_CREATE_IRQCHIP"))?;
        let memory = memory::allocate(config.memory_mib << 20)?;
        memory::register(&vm, &memory)?;

        let (worker, starter) = Worker::start()?;
        let console = Arc::new(Ring::default());
        let mut buses = Buses::default();
        devices::add_legacy(&mut buses, &vm, config.serial, &console)?;
        let devices::Connected { transports, balloon } =
            devices::add_virtio(&mut buses, &vm, &memory, config, devices, &worker)?;

        let irqs = layout::DEVICE_IRQS.get(..transports.len()).unwrap_or_default();
        let line = cmdline::build(config.serial, irqs, &config.cmdline);
        let images = boot::Images {
            kernel: &kernel,
            kernel_path: &config.kernel,
            initramfs: &initramfs,
            initramfs_path: &config.initramfs,
        };
        let entry = boot::load(&memory, &images, &line, config.vcpus)?;
        let fds = create_vcpus(&kvm, &vm, config.vcpus)?;
        if let Some(first) = fds.first() {
            registers::setup_boot_cpu(first, &memory, entry)?;
        }

        let shared = Arc::new(Shared::new(fds.len())?);
        if let Some(balloon) = &balloon {
            balloon.watch(shared.news().try_clone()?);
        }
        let buses = Arc::new(buses);
        let mut machine = Self {
            shared,
            console,
            transports,
            balloon,
            memory_mib: config.memory_mib,
            vcpus: Vec::with_capacity(fds.len()),
            starter: Some(starter),
            memory,
            _vm: vm,
        };
        for (id, fd) in (0..).zip(fds) {
            let handle = vcpu::spawn(id, fd, Arc::clone(&buses), Arc::clone(&machine.shared))?;
            machine.vcpus.push(handle);
        }
        Ok(machine)
    }

    /// Lets the vCPUs run.
    pub fn resume(&self) {
        self.shared.request(Request::Run);
    }

    /// Freezes the vCPUs; each stops at its next exit, which the kick forces. [`Machine::news`] tells when all have.
    pub fn pause(&self) {
        self.shared.request(Request::Pause);
        self.kick();
    }

    /// Whether a pause is in force: no vCPU runs, nor will one before [`Machine::resume`].
    pub fn is_paused(&self) -> bool {
        self.shared.is_paused()
    }

    /// Asks the guest for `mib` MiB of its memory, or to take back what it gave above that.
    pub fn set_balloon(&self, mib: u64) {
        if let Some(balloon) = &self.balloon {
            let pages = mib.min(self.memory_mib) * PAGES_PER_MIB;
            balloon.set_target(u32::try_from(pages).unwrap_or(u32::MAX));
        }
    }

    /// What the balloon shall hold and what the guest says it does, MiB; zeroes without a balloon.
    pub fn balloon(&self) -> (u64, u64) {
        let mib = |pages: u32| u64::from(pages) / PAGES_PER_MIB;
        self.balloon.as_ref().map_or((0, 0), |balloon| (mib(balloon.target()), mib(balloon.actual())))
    }

    /// The guest has come to stay: from now on its memory is worth huge pages.
    pub fn settle(&self) {
        memory::huge_pages::advise(&self.memory);
    }

    /// Readable when [`Machine::exit_reason`], [`Machine::first_run_ns`], [`Machine::is_paused`] or
    /// [`Machine::balloon`] has news.
    pub fn news(&self) -> &vmm_sys_util::eventfd::EventFd {
        self.shared.news()
    }

    /// Why the guest stopped, if it has.
    pub fn exit_reason(&self) -> Option<ExitReason> {
        self.shared.reason()
    }

    /// CLOCK_MONOTONIC nanoseconds of the first `KVM_RUN`.
    pub fn first_run_ns(&self) -> Option<u64> {
        self.shared.first_run_ns()
    }

    /// The last `max` bytes that the guest wrote to its console.
    pub fn console_tail(&self, max: usize) -> String {
        self.console.tail(max)
    }

    /// Stops the vCPUs and waits for them; the guest does not run any more when this returns. Idempotent.
    pub fn stop(&mut self) {
        self.shared.request(Request::Stop);
        self.kick();
        for vcpu in self.vcpus.drain(..) {
            vcpu.join();
        }
    }

    fn kick(&self) {
        for vcpu in &self.vcpus {
            vcpu.kick();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
        for transport in self.transports.drain(..) {
            transport.shut_down();
        }
        if let Some(starter) = self.starter.take() {
            // Its last sender went with the transports; a panic was reported by the panic hook.
            let _ = starter.join();
        }
    }
}

fn create_vcpus(kvm: &kvm_ioctls::Kvm, vm: &VmFd, count: u8) -> Result<Vec<VcpuFd>, Error> {
    let template = cpuid::Template::new(kvm).map_err(kvm_error("KVM_GET_SUPPORTED_CPUID"))?;
    (0..count)
        .map(|id| {
            let vcpu = vm.create_vcpu(u64::from(id)).map_err(kvm_error("KVM_CREATE_VCPU"))?;
            let list = template.for_cpu(id, count).map_err(kvm_error("CPUID"))?;
            vcpu.set_cpuid2(&list).map_err(kvm_error("KVM_SET_CPUID2"))?;
            msr::setup(&vcpu).map_err(kvm_error("KVM_SET_MSRS"))?;
            Ok(vcpu)
        })
        .collect()
}

/// What a host's KVM must have for our machines.
const REQUIRED: [(Cap, &str); 6] = [
    (Cap::Irqchip, "an in-kernel interrupt controller"),
    (Cap::UserMemory, "user memory regions"),
    (Cap::SetTssAddr, "KVM_SET_TSS_ADDR"),
    (Cap::Irqfd, "irqfd"),
    (Cap::Ioeventfd, "ioeventfd"),
    (Cap::ImmediateExit, "immediate_exit"),
];

/// Says what the host's KVM lacks, if anything.
fn missing_capability(kvm: &kvm_ioctls::Kvm) -> Option<String> {
    let version = kvm.get_api_version();
    if u32::try_from(version) != Ok(KVM_API_VERSION) {
        return Some(format!("API version {version} instead of {KVM_API_VERSION}"));
    }
    REQUIRED.iter().find(|(cap, _)| !kvm.check_extension(*cap)).map(|(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests;

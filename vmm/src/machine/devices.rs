//! Instantiates the configured devices and connects them to buses, ioeventfds and irqfds.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use kvm_ioctls::{IoEventAddress, VmFd};
use rustix::fs::{Mode, OFlags};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::worker::Worker;
use crate::arch::layout;
use crate::bus::{BusDevice, Overlap};
use crate::config::{BlockConfig, VmConfig};
use crate::legacy::console::{Capture, Ring};
use crate::legacy::i8042::{self, I8042};
use crate::legacy::serial::SerialPort;
use crate::legacy::{SERIAL_PORT, SERIAL_PORTS};
use crate::vcpu::Buses;
use crate::virtio::balloon::{Balloon, BalloonHandle};
use crate::virtio::block::{Block, BlockError};
use crate::virtio::fs::{Fs, FsError, ShareError, ShareRoot, open_proc_self_fd};
use crate::virtio::mmio::{MmioTransport, QUEUE_NOTIFY};
use crate::virtio::net::{Net, Tap, TapError};
use crate::virtio::rng::Rng;
use crate::virtio::vsock::{HostError, Vsock, VsockHost, listen};
use crate::virtio::{GuestRam, Interrupt, VirtioDevice};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect the {device} device to KVM: {source}")]
    Connect { device: &'static str, source: kvm_ioctls::Error },
    #[error("cannot make an eventfd for the {device} device: {source}; raise the limit on open files")]
    EventFd { device: &'static str, source: io::Error },
    #[error("a machine has at most {max} virtio devices, {asked} are configured")]
    TooMany { asked: usize, max: usize },
    #[error("cannot open disk {path}: {source}")]
    OpenDisk { path: String, source: io::Error },
    #[error("{0}")]
    Disk(#[from] BlockError),
    #[error("cannot open the shared directory {path}: {source}")]
    OpenShare { path: String, source: io::Error },
    #[error("{0}")]
    Tap(#[from] TapError),
    #[error("{0}")]
    ShareFiles(#[from] ShareError),
    #[error("{0}")]
    Share(#[from] FsError),
    #[error("{0}")]
    VsockHost(#[from] HostError),
    #[error("{0}")]
    Bus(#[from] Overlap),
}

/// Host files that the devices of a configuration need, opened outside the jail.
#[derive(Debug)]
pub(super) struct Prepared {
    /// `/proc/self/fd` for each share.
    shares: Vec<OwnedFd>,
    vsock: Option<UnixListener>,
    taps: Vec<Tap>,
    disks: Vec<File>,
}

impl Prepared {
    /// Opens disks, attaches to taps and listens on the vsock socket.
    pub(super) fn open(config: &VmConfig) -> Result<Self, Error> {
        let shares = config.fs.iter().map(|_| open_proc_self_fd()).collect::<Result<_, _>>()?;
        let vsock = config.vsock.as_ref().map(|vsock| listen(&vsock.uds_path)).transpose()?;
        let taps = config.net.iter().map(|net| Tap::open(&net.tap)).collect::<Result<_, _>>()?;
        let disks = config.block.iter().map(open_disk).collect::<Result<_, _>>()?;
        Ok(Self { shares, vsock, taps, disks })
    }

    /// Makes the devices, in the order of their MMIO windows; paths in `config` are those inside the jail by now.
    fn build(self, config: &VmConfig) -> Result<(Vec<NamedDevice>, Option<BalloonHandle>), Error> {
        let mut devices: Vec<NamedDevice> = Vec::new();
        let mut balloon = None;
        for (fs, proc_self_fd) in config.fs.iter().zip(self.shares) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open(&fs.path, flags, Mode::empty())
                .map_err(|e| Error::OpenShare { path: fs.path.display().to_string(), source: e.into() })?;
            let root = ShareRoot::from_descriptors(root, proc_self_fd);
            devices.push(("virtio-fs", Box::new(Fs::new(fs, root)?)));
        }
        if let Some((vsock, listener)) = config.vsock.as_ref().zip(self.vsock) {
            let host = VsockHost::new(listener, vsock.uds_path.clone())?;
            let device =
                Vsock::new(vsock.cid, host).map_err(|source| Error::EventFd { device: "vsock", source })?;
            devices.push(("vsock", Box::new(device)));
        }
        for (net, tap) in config.net.iter().zip(self.taps) {
            devices.push(("net", Box::new(Net::new(net, tap))));
        }
        for (block, file) in config.block.iter().zip(self.disks) {
            devices.push(("block", Box::new(Block::new(block, file)?)));
        }
        if config.rng {
            devices.push(("rng", Box::new(Rng::new())));
        }
        if config.balloon {
            let device = Balloon::new();
            balloon = Some(device.handle());
            devices.push(("balloon", Box::new(device)));
        }
        let (asked, max) = (devices.len(), layout::DEVICE_IRQS.len());
        if asked > max { Err(Error::TooMany { asked, max }) } else { Ok((devices, balloon)) }
    }
}

/// A device and what to call it in errors.
type NamedDevice = (&'static str, Box<dyn VirtioDevice>);

fn open_disk(disk: &BlockConfig) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(!disk.read_only)
        .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(&disk.path)
        .map_err(|source| Error::OpenDisk { path: disk.path.display().to_string(), source })
}

/// The keyboard controller, and COM1 as a full port or as a capture of what is written to it.
pub(super) fn add_legacy(buses: &mut Buses, vm: &VmFd, serial: bool, ring: &Arc<Ring>) -> Result<(), Error> {
    buses.ports.add(i8042::PORT, i8042::PORTS, Arc::new(I8042))?;
    let port: Arc<dyn BusDevice> = if serial {
        let irqfd = eventfd("serial")?;
        vm.register_irqfd(&irqfd, layout::SERIAL_IRQ)
            .map_err(|source| Error::Connect { device: "serial", source })?;
        Arc::new(SerialPort::new(irqfd, Arc::clone(ring)))
    } else {
        Arc::new(Capture::new(Arc::clone(ring)))
    };
    buses.ports.add(SERIAL_PORT, SERIAL_PORTS, port)?;
    Ok(())
}

/// The devices of a machine that is built.
pub(super) struct Connected {
    pub(super) transports: Vec<Arc<MmioTransport>>,
    pub(super) balloon: Option<BalloonHandle>,
}

/// One MMIO window, interrupt line and set of ioeventfds per device.
pub(super) fn add_virtio(
    buses: &mut Buses,
    vm: &VmFd,
    memory: &GuestRam,
    config: &VmConfig,
    prepared: Prepared,
    worker: &Worker,
) -> Result<Connected, Error> {
    let (devices, balloon) = prepared.build(config)?;
    let windows = (layout::VIRTIO_MMIO..).step_by(layout::VIRTIO_MMIO_WINDOW as usize);
    let mut transports = Vec::new();
    for (((name, device), base), irq) in devices.into_iter().zip(windows).zip(layout::DEVICE_IRQS) {
        let transport = connect(vm, memory, name, device, base, irq, worker)?;
        buses.mmio.add(base, layout::VIRTIO_MMIO_WINDOW, Arc::clone(&transport) as Arc<dyn BusDevice>)?;
        transports.push(transport);
    }
    Ok(Connected { transports, balloon })
}

fn connect(
    vm: &VmFd,
    memory: &GuestRam,
    name: &'static str,
    device: Box<dyn VirtioDevice>,
    base: u64,
    irq: u32,
    worker: &Worker,
) -> Result<Arc<MmioTransport>, Error> {
    let kvm_error = |source| Error::Connect { device: name, source };
    let interrupt = Arc::new(Interrupt::new(eventfd(name)?));
    vm.register_irqfd(interrupt.irqfd(), irq).map_err(kvm_error)?;
    let transport = MmioTransport::new(device, memory.clone(), interrupt, worker.clone())
        .map_err(|source| Error::EventFd { device: name, source })?;
    for (queue, kick) in (0_u32..).zip(transport.kicks()) {
        vm.register_ioevent(kick, &IoEventAddress::Mmio(base + QUEUE_NOTIFY), queue).map_err(kvm_error)?;
    }
    Ok(Arc::new(transport))
}

fn eventfd(device: &'static str) -> Result<EventFd, Error> {
    EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map_err(|source| Error::EventFd { device, source })
}

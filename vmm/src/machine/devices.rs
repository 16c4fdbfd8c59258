//! Instantiates the configured devices and connects them to buses, ioeventfds and irqfds.

use std::sync::Arc;

use kvm_ioctls::{IoEventAddress, VmFd};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::worker::Worker;
use crate::arch::layout;
use crate::bus::{BusDevice, Overlap};
use crate::config::VmConfig;
use crate::legacy::console::{Capture, Ring};
use crate::legacy::i8042::{self, I8042};
use crate::legacy::serial::SerialPort;
use crate::legacy::{SERIAL_PORT, SERIAL_PORTS};
use crate::vcpu::Buses;
use crate::virtio::mmio::{MmioTransport, QUEUE_NOTIFY};
use crate::virtio::rng::Rng;
use crate::virtio::{GuestRam, Interrupt, VirtioDevice};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect the {device} device to KVM: {source}")]
    Connect { device: &'static str, source: kvm_ioctls::Error },
    #[error("cannot make an eventfd for the {device} device: {source}; raise the limit on open files")]
    EventFd { device: &'static str, source: std::io::Error },
    #[error("a machine has at most {max} virtio devices, {asked} are configured")]
    TooMany { asked: usize, max: usize },
    #[error("{0}")]
    Bus(#[from] Overlap),
}

/// The virtio devices with their host files open, in the order of their MMIO windows.
#[derive(Debug)]
pub(super) struct Prepared {
    rng: bool,
}

impl Prepared {
    /// Opens taps, files and sockets.
    pub(super) fn open(config: &VmConfig) -> Result<Self, Error> {
        Ok(Self { rng: config.rng })
    }

    /// Makes the devices; paths are those inside the jail by now.
    fn build(self) -> Result<Vec<(&'static str, Box<dyn VirtioDevice>)>, Error> {
        let mut devices: Vec<(&'static str, Box<dyn VirtioDevice>)> = Vec::new();
        if self.rng {
            devices.push(("rng", Box::new(Rng::new())));
        }
        let (asked, max) = (devices.len(), layout::DEVICE_IRQS.len());
        if asked > max { Err(Error::TooMany { asked, max }) } else { Ok(devices) }
    }
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

/// One MMIO window, interrupt line and set of ioeventfds per device.
pub(super) fn add_virtio(
    buses: &mut Buses,
    vm: &VmFd,
    memory: &GuestRam,
    prepared: Prepared,
    worker: &Worker,
) -> Result<Vec<Arc<MmioTransport>>, Error> {
    let windows = (layout::VIRTIO_MMIO..).step_by(layout::VIRTIO_MMIO_WINDOW as usize);
    let mut transports = Vec::new();
    for (((name, device), base), irq) in prepared.build()?.into_iter().zip(windows).zip(layout::DEVICE_IRQS) {
        let transport = connect(vm, memory, name, device, base, irq, worker)?;
        buses.mmio.add(base, layout::VIRTIO_MMIO_WINDOW, Arc::clone(&transport) as Arc<dyn BusDevice>)?;
        transports.push(transport);
    }
    Ok(transports)
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

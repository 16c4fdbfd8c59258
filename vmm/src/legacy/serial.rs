//! A whole 16550 on COM1 for people who watch a guest boot: output goes to stderr and to the console ring.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

use super::console::Ring;
use crate::bus::{BusDevice, Outcome};
use crate::control::ExitReason;

struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// Output of the port; remembers that the guest said it has halted.
struct Tee {
    ring: Arc<Ring>,
    halted: bool,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.halted |= self.ring.push(*byte);
        }
        // Nobody may be reading; the guest must not notice.
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The device; its interrupt is an irqfd on [`crate::arch::layout::SERIAL_IRQ`].
pub struct SerialPort(Mutex<Serial<Line, NoEvents, Tee>>);

impl std::fmt::Debug for SerialPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SerialPort")
    }
}

impl SerialPort {
    pub fn new(irqfd: EventFd, ring: Arc<Ring>) -> Self {
        Self(Mutex::new(Serial::new(Line(irqfd), Tee { ring, halted: false })))
    }
}

impl BusDevice for SerialPort {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let mut serial = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in data {
            *byte = serial.read(offset as u8);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Outcome {
        let mut serial = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in data {
            // Only the interrupt can fail, and an eventfd that nobody reset counts on.
            let _ = serial.write(offset as u8, *byte);
        }
        if serial.writer().halted { Outcome::Stop(ExitReason::Halt) } else { Outcome::Continue }
    }
}

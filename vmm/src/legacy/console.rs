//! What the guest kernel says when things go wrong: the last of what it wrote to COM1.
//!
//! The kernel keeps its early console and is told to be quiet, so that only emergencies come this way. Enough of a
//! 16550 is answered for that driver; there is no input. A kernel that halts says so here and nowhere else, since
//! HLT does not leave KVM: the line is taken as the machine's end.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::bus::{BusDevice, Outcome};
use crate::control::ExitReason;

/// Bytes kept.
pub const RING_SIZE: usize = 16 * 1024;

/// Registers of a 16550, offsets from its first port.
const DATA: u64 = 0;
const LINE_CONTROL: u64 = 3;
const LINE_STATUS: u64 = 5;
/// Divisor latch access: the data register is the divisor.
const LCR_DLAB: u8 = 0x80;
/// Transmitter empty, holding register empty.
const LSR_IDLE: u8 = 0x60;

/// Printed by the kernel's `kernel_halt` and `kernel_power_off` when there is no way to switch off.
const HALTED: [&[u8]; 2] = [b"reboot: System halted", b"reboot: Power down"];

/// The last bytes that were written, bounded by [`RING_SIZE`].
#[derive(Debug, Default)]
pub struct Ring(Mutex<VecDeque<u8>>);

impl Ring {
    /// Appends one byte; says whether it ended a line that announces a halt.
    pub fn push(&self, byte: u8) -> bool {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let halted = byte == b'\n' && HALTED.iter().any(|line| ends_with(&ring, line));
        if ring.len() == RING_SIZE {
            ring.pop_front();
        }
        ring.push_back(byte);
        halted
    }

    /// The last `max` bytes as text for people: nothing in it steers their terminal, and as JSON it is at most
    /// three times as long.
    pub fn tail(&self, max: usize) -> String {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = ring.make_contiguous();
        let tail = bytes.get(bytes.len().saturating_sub(max)..).unwrap_or_default();
        let plain = |c: char| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c };
        String::from_utf8_lossy(tail).chars().filter(|c| *c != '\r').map(plain).collect()
    }
}

/// Whether the text before a line's end, carriage returns aside, ends in `line`.
fn ends_with(ring: &VecDeque<u8>, line: &[u8]) -> bool {
    ring.iter().rev().skip_while(|b| **b == b'\r').take(line.len()).eq(line.iter().rev())
}

/// The write-only port.
#[derive(Debug)]
pub struct Capture {
    ring: std::sync::Arc<Ring>,
    line_control: Mutex<u8>,
}

impl Capture {
    pub fn new(ring: std::sync::Arc<Ring>) -> Self {
        Self { ring, line_control: Mutex::new(0) }
    }
}

impl BusDevice for Capture {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(match offset {
            LINE_STATUS => LSR_IDLE,
            LINE_CONTROL => *self.line_control.lock().unwrap_or_else(PoisonError::into_inner),
            _ => 0,
        });
    }

    fn write(&self, offset: u64, data: &[u8]) -> Outcome {
        let mut line_control = self.line_control.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in data {
            match offset {
                DATA if *line_control & LCR_DLAB == 0 && self.ring.push(*byte) => {
                    return Outcome::Stop(ExitReason::Halt);
                }
                LINE_CONTROL => *line_control = *byte,
                _ => {}
            }
        }
        Outcome::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn capture() -> (Capture, Arc<Ring>) {
        let ring = Arc::new(Ring::default());
        (Capture::new(Arc::clone(&ring)), ring)
    }

    #[test]
    fn keeps_the_last_bytes_only() {
        let (capture, ring) = capture();
        for i in 0..=RING_SIZE {
            capture.write(DATA, &[if i == 0 { b'A' } else { b'b' }]);
        }
        let tail = ring.tail(usize::MAX);
        assert_eq!(tail.len(), RING_SIZE);
        assert!(!tail.contains('A'));
        assert_eq!(ring.tail(3), "bbb");
    }

    #[test]
    fn the_tail_fits_a_packet_and_no_escape_sequence_survives() {
        let (capture, ring) = capture();
        capture.write(DATA, b"a\x1b[2J\r\nb");
        assert_eq!(ring.tail(100), "a?[2J\nb");
        for byte in [0_u8, b'"', 0xff] {
            capture.write(DATA, &vec![byte; RING_SIZE]);
            let event = crate::control::Event::Exited {
                reason: ExitReason::Reset,
                console_tail: ring.tail(RING_SIZE),
            };
            assert!(serde_json::to_vec(&event).unwrap().len() < crate::control::MAX_PACKET);
        }
    }

    #[test]
    fn the_divisor_is_not_text() {
        let (capture, ring) = capture();
        capture.write(LINE_CONTROL, &[LCR_DLAB]);
        capture.write(DATA, b"x");
        capture.write(LINE_CONTROL, &[3]);
        capture.write(DATA, b"y");
        assert_eq!(ring.tail(9), "y");
        let mut status = [0];
        capture.read(LINE_STATUS, &mut status);
        assert_eq!(status[0], LSR_IDLE);
    }

    #[test]
    fn a_halt_message_ends_the_machine_but_a_quotation_does_not() {
        let (capture, _) = capture();
        assert_eq!(capture.write(DATA, b"say reboot: Power down please\r\n"), Outcome::Continue);
        assert_eq!(capture.write(DATA, b"[    1.0] reboot: Power down\r\n"), Outcome::Stop(ExitReason::Halt));
        assert_eq!(capture.write(DATA, b"reboot: System halted\n"), Outcome::Stop(ExitReason::Halt));
    }
}

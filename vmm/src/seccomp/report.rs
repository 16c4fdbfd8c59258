//! Says which system call of which thread was forbidden, then ends the process.

use std::cell::Cell;
use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{SIGSYS, c_int, siginfo_t};
use vmm_sys_util::signal::register_signal_handler;

use crate::monitor::CONTROL_FD;

/// Exit status after a forbidden system call, as a shell would report SIGSYS.
const EXIT_STATUS: c_int = 128 + SIGSYS;

thread_local! {
    /// Whose filter this thread runs under.
    static LABEL: Cell<&'static str> = const { Cell::new("?") };
}

static OWNER_LISTENS: AtomicBool = AtomicBool::new(false);

/// From now on the report goes to the owner's socket too.
pub fn to_owner() {
    OWNER_LISTENS.store(true, Ordering::SeqCst);
}

/// Installs the handler, once per process, and names the calling thread in its reports.
pub(super) fn install(label: &'static str) {
    static INSTALLED: Once = Once::new();
    LABEL.set(label);
    // It can only fail for a number that is no signal.
    INSTALLED.call_once(|| {
        let _ = register_signal_handler(SIGSYS, on_forbidden);
    });
}

/// Runs in signal context: no allocation, no locks.
extern "C" fn on_forbidden(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // The system call's number, in the part of siginfo_t that SIGSYS uses (sigaction(2)); after the address.
    const CALL_OFFSET: usize = 24;
    // SAFETY: the kernel hands a siginfo_t of 128 bytes to an SA_SIGINFO handler.
    let call = unsafe { info.wrapping_byte_add(CALL_OFFSET).cast::<[u8; 4]>().read() };
    let call = c_int::from_ne_bytes(call);
    let mut number = [0; 12];
    let number = decimal(call, &mut number);
    let mut text = Text::default();
    text.push(b"forbidden system call ");
    text.push(number);
    text.push(b" in a ");
    text.push(LABEL.get().as_bytes());
    text.push(b" thread");
    write(std::io::stderr().as_fd(), &[b"sandbox-vmm: ", text.bytes(), b"\n"]);
    if OWNER_LISTENS.load(Ordering::SeqCst) {
        // SAFETY: the owner's socket is never closed while the flag is set.
        let owner = unsafe { BorrowedFd::borrow_raw(CONTROL_FD) };
        let parts: [&[u8]; 3] =
            [br#"{"event":"exited","reason":{"error":""#, text.bytes(), br#""},"console_tail":""}"#];
        write(owner, &parts);
    }
    // SAFETY: ends the process at once, without running anything of it.
    unsafe { libc::_exit(EXIT_STATUS) }
}

/// A short line on the stack.
struct Text {
    bytes: [u8; 128],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 128], len: 0 }
    }
}

impl Text {
    fn push(&mut self, more: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(more) {
            *to = *from;
            self.len += 1;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// One write, so that a packet socket sends one packet.
fn write(to: BorrowedFd<'_>, parts: &[&[u8]]) {
    let mut line = Text::default();
    for part in parts {
        line.push(part);
    }
    // Nobody to tell if it fails.
    let _ = rustix::io::write(to, line.bytes());
}

fn decimal(value: c_int, buffer: &mut [u8; 12]) -> &[u8] {
    let mut rest = value.unsigned_abs();
    let mut start = buffer.len();
    loop {
        start -= 1;
        if let Some(digit) = buffer.get_mut(start) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 || start == 0 {
            return buffer.get(start..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        let mut buffer = [0; 12];
        assert_eq!(decimal(0, &mut buffer), b"0");
        assert_eq!(decimal(i32::MAX, &mut buffer), b"2147483647");
    }
}

//! The last resort: say why on the kernel's console and reset the machine.
//!
//! The console prints emergencies only, so that is what the text is logged as; the monitor keeps its last
//! lines and shows them to the user.

use std::panic;

use rustix::fs::{Mode, OFlags};
use rustix::system::RebootCommand;

/// Turns a panic into [`end`] before anything is unwound.
pub(crate) fn install() {
    panic::set_hook(Box::new(|info| end(&info.to_string())));
}

/// Logs and resets. Does not return, in a guest.
pub(crate) fn end(reason: &str) -> ! {
    let line = format!("<0>sandbox-agent: {reason}\n");
    // The kernel takes at most about 1000 bytes in one record.
    let line = line.as_bytes().get(..900).unwrap_or(line.as_bytes());
    if let Ok(log) = rustix::fs::open("/dev/kmsg", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::io::write(&log, line);
    }
    if rustix::process::getpid().as_raw_nonzero().get() == 1 {
        // Resets by the keyboard controller (`reboot=k`), which is the port that the monitor listens to.
        let _ = rustix::system::reboot(RebootCommand::Restart);
    }
    std::process::exit(1)
}

//! The guest kernel's command line.

use std::fmt::Write;

use crate::arch::layout;

/// What every guest gets, by topic:
/// * how it ends: a reset, which the monitor sees as an exit, without waiting after a panic;
/// * no probing for what is not there (PS/2 ports, the PIT's interrupt);
/// * the clock: KVM's TSC needs no watchdog;
/// * start-up: expedited RCU until init runs, no self tests, the host's random numbers are trusted.
const ALWAYS: &str = "reboot=k panic=-1 no_timer_check tsc=reliable i8042.noaux i8042.nomux i8042.dumbkbd i8042.nopnp \
                      rcupdate.rcu_expedited=1 cryptomgr.notests random.trust_cpu=on swiotlb=noforce";
/// Only emergencies, and all that a panic says, reach the early console, where the monitor captures them: each
/// character is two exits.
const QUIET: &str = "loglevel=3 earlycon=uart8250,io,0x3f8 keep_bootcon 8250.nr_uarts=0";
const SERIAL: &str = "console=ttyS0 8250.nr_uarts=1 loglevel=7";

/// The line for a machine with virtio devices on `irqs`, in the order of their MMIO windows.
pub fn build(serial: bool, irqs: &[u32], appended: &str) -> String {
    let mut line = format!("{ALWAYS} {}", if serial { SERIAL } else { QUIET });
    for (base, irq) in (layout::VIRTIO_MMIO..).step_by(layout::VIRTIO_MMIO_WINDOW as usize).zip(irqs) {
        // Writing to a string cannot fail.
        let _ = write!(line, " virtio_mmio.device=4K@{base:#x}:{irq}");
    }
    if !appended.is_empty() {
        line.push(' ');
        line.push_str(appended);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_additions_come_last() {
        let line = build(false, &[16, 17], "panic=5 -- x");
        assert!(line.contains("keep_bootcon"));
        assert!(
            line.ends_with(
                " virtio_mmio.device=4K@0xd0000000:16 virtio_mmio.device=4K@0xd0001000:17 panic=5 -- x"
            ),
            "{line}"
        );
        assert!(!build(true, &[], "").contains("keep_bootcon"));
    }
}

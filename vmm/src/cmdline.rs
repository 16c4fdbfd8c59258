//! The guest kernel's command line.

use std::fmt::Write;

use crate::arch::layout;

/// What every guest gets, by topic:
/// * how it ends: a reset, which the monitor sees as an exit, without waiting after a panic;
/// * the clock: KVM's TSC needs no watchdog;
/// * start-up: expedited RCU until init runs, no patching of lock prefixes, no bounce buffers, no sysfs trees about
///   slab caches and built-in modules' parameters, which nobody reads and which cost thousands of allocations,
///   an initramfs that stays where it is;
/// * no network interface that nobody asked for.
const ALWAYS: &str = "reboot=k panic=-1 tsc=reliable noreplace-smp percpu_alloc=page rcupdate.rcu_expedited=1 \
                      swiotlb=noforce initcall_blacklist=slab_late_init,param_sysfs_builtin_init retain_initrd \
                      dummy.numdummies=0";
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

//! Guest physical addresses and interrupt lines.

/// Boot GDT; the kernel loads its own at once.
pub const GDT: u64 = 0x500;
/// `hvm_start_info`.
pub const START_INFO: u64 = 0x6000;
/// Module list of the start info.
pub const MODLIST: u64 = 0x6040;
/// Memory map of the start info.
pub const MEMMAP: u64 = 0x7000;
/// Kernel command line, NUL terminated.
pub const CMDLINE: u64 = 0x2_0000;
/// x86 `COMMAND_LINE_SIZE`, bytes, the NUL included.
pub const CMDLINE_MAX: usize = 2048;
/// End of the RAM below 640 KiB: the last KiB is searched for the MP floating pointer (MP spec 1.4, section 4).
pub const LOW_RAM_END: u64 = 0x9_fc00;
/// MP floating pointer.
pub const MP_POINTER: u64 = LOW_RAM_END;
/// MP configuration table, where a BIOS ROM would be: not RAM in the memory map.
pub const MP_TABLE: u64 = 0xf_0000;
pub const MP_TABLE_MAX: usize = 0x1_0000;
/// The kernel and everything else begins here.
pub const MAIN_RAM_START: u64 = 0x10_0000;

/// Devices live between here and 4 GiB.
pub const HOLE_START: u64 = 3 << 30;
pub const HIGH_RAM_START: u64 = 4 << 30;
/// virtio-mmio windows, one after the other.
pub const VIRTIO_MMIO: u64 = 0xd000_0000;
/// Size of one window, bytes.
pub const VIRTIO_MMIO_WINDOW: u64 = 0x1000;
pub const IO_APIC: u32 = 0xfec0_0000;
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// Three pages that KVM needs on processors without unrestricted guest mode.
pub const KVM_TSS: u64 = 0xfffb_d000;

/// Pins of KVM's IOAPIC.
pub const IO_APIC_PINS: u8 = 24;
/// COM1 as the PC has it.
pub const SERIAL_IRQ: u32 = 4;
/// Lines for virtio devices, one each. Those above 15 reach the IOAPIC alone, so they come first; the rest are
/// ISA lines that no device of ours uses.
pub const DEVICE_IRQS: [u32; 16] = [16, 17, 18, 19, 20, 21, 22, 23, 5, 6, 7, 9, 10, 11, 14, 15];

/// Where `size` bytes of RAM lie: up to [`HOLE_START`], the rest from [`HIGH_RAM_START`].
pub fn ram_ranges(size: u64) -> impl Iterator<Item = (u64, u64)> {
    let low = size.min(HOLE_START);
    let high = (size - low).min(u64::MAX - HIGH_RAM_START);
    [(0, low), (HIGH_RAM_START, high)].into_iter().filter(|(_, len)| *len > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_at_the_hole() {
        assert_eq!(ram_ranges(1 << 30).collect::<Vec<_>>(), [(0, 1 << 30)]);
        assert_eq!(ram_ranges(3 << 30).collect::<Vec<_>>(), [(0, 3 << 30)]);
        assert_eq!(ram_ranges((3 << 30) + 4096).collect::<Vec<_>>(), [(0, 3 << 30), (4 << 30, 4096)]);
    }

    #[test]
    fn device_lines_are_distinct_and_free() {
        let mut lines = DEVICE_IRQS.to_vec();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), DEVICE_IRQS.len());
        assert!(lines.iter().all(|l| *l > SERIAL_IRQ && *l < u32::from(IO_APIC_PINS)));
    }
}

//! The MultiProcessor table (Intel MP specification 1.4): how a kernel without ACPI finds processors and interrupts.
//!
//! Every IOAPIC pin is described as an ISA line, which is edge triggered and active high: what a KVM irqfd
//! without resampling delivers.

use zerocopy::{Immutable, IntoBytes};

use super::layout;

/// APIC ids are 8 bit here and the IOAPIC takes one, 255 is broadcast.
pub const MAX_CPUS: u8 = 254;

const ENTRY_PROCESSOR: u8 = 0;
const ENTRY_BUS: u8 = 1;
const ENTRY_IO_APIC: u8 = 2;
const ENTRY_IO_INTERRUPT: u8 = 3;
const ENTRY_LOCAL_INTERRUPT: u8 = 4;

const INTERRUPT_INT: u8 = 0;
const INTERRUPT_NMI: u8 = 1;
const INTERRUPT_EXTINT: u8 = 3;

const CPU_ENABLED: u8 = 1;
const CPU_BOOT: u8 = 2;
/// Integrated local APIC with x2APIC-era registers.
const APIC_VERSION: u8 = 0x14;

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct FloatingPointer {
    signature: [u8; 4],
    table: u32,
    length: u8,
    revision: u8,
    checksum: u8,
    features: [u8; 5],
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    signature: [u8; 4],
    length: u16,
    revision: u8,
    checksum: u8,
    oem: [u8; 8],
    product: [u8; 12],
    oem_table: u32,
    oem_size: u16,
    entries: u16,
    local_apic: u32,
    extended_length: u16,
    extended_checksum: u8,
    reserved: u8,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Processor {
    kind: u8,
    apic_id: u8,
    apic_version: u8,
    flags: u8,
    signature: u32,
    features: u32,
    reserved: [u32; 2],
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Bus {
    kind: u8,
    id: u8,
    name: [u8; 6],
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct IoApic {
    kind: u8,
    id: u8,
    version: u8,
    flags: u8,
    address: u32,
}

/// Both interrupt entries have this shape.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct InterruptEntry {
    kind: u8,
    interrupt: u8,
    flags: u16,
    source_bus: u8,
    source_irq: u8,
    apic: u8,
    input: u8,
}

/// The 16 bytes for [`layout::MP_POINTER`].
pub fn floating_pointer() -> Vec<u8> {
    let mut pointer = FloatingPointer {
        signature: *b"_MP_",
        table: layout::MP_TABLE as u32,
        length: 1,
        revision: 4,
        checksum: 0,
        features: [0; 5],
    };
    pointer.checksum = checksum(pointer.as_bytes());
    pointer.as_bytes().to_vec()
}

/// The table for [`layout::MP_TABLE`], for processors with APIC ids 0 to `cpus` - 1.
pub fn table(cpus: u8) -> Vec<u8> {
    let io_apic = cpus;
    let mut body = Vec::with_capacity(usize::from(cpus) * 20 + 256);
    let mut entries = 0_u16;
    let mut add = |bytes: &[u8]| {
        body.extend_from_slice(bytes);
        entries += 1;
    };
    for apic_id in 0..cpus {
        let boot = if apic_id == 0 { CPU_BOOT } else { 0 };
        add(Processor {
            kind: ENTRY_PROCESSOR,
            apic_id,
            apic_version: APIC_VERSION,
            flags: CPU_ENABLED | boot,
            signature: 0x600,
            features: 0x201,
            reserved: [0; 2],
        }
        .as_bytes());
    }
    add(Bus { kind: ENTRY_BUS, id: 0, name: *b"ISA   " }.as_bytes());
    add(IoApic {
        kind: ENTRY_IO_APIC,
        id: io_apic,
        version: APIC_VERSION,
        flags: 1,
        address: layout::IO_APIC,
    }
    .as_bytes());
    let line = |kind, interrupt, source_irq, apic, input| InterruptEntry {
        kind,
        interrupt,
        flags: 0,
        source_bus: 0,
        source_irq,
        apic,
        input,
    };
    for pin in 0..layout::IO_APIC_PINS {
        add(line(ENTRY_IO_INTERRUPT, INTERRUPT_INT, pin, io_apic, pin).as_bytes());
    }
    add(line(ENTRY_LOCAL_INTERRUPT, INTERRUPT_EXTINT, 0, 0, 0).as_bytes());
    add(line(ENTRY_LOCAL_INTERRUPT, INTERRUPT_NMI, 0, 0xff, 1).as_bytes());

    let mut header = Header {
        signature: *b"PCMP",
        length: (size_of::<Header>() + body.len()) as u16,
        revision: 4,
        checksum: 0,
        oem: *b"SANDBOX ",
        product: *b"MICROVM     ",
        oem_table: 0,
        oem_size: 0,
        entries,
        local_apic: layout::LOCAL_APIC,
        extended_length: 0,
        extended_checksum: 0,
        reserved: 0,
    };
    header.checksum = checksum(header.as_bytes()).wrapping_add(checksum(&body));
    let mut table = header.as_bytes().to_vec();
    table.extend(body);
    table
}

/// The byte that makes the sum zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
    }

    #[test]
    fn sums_are_zero_and_sizes_as_specified() {
        assert_eq!(floating_pointer().len(), 16);
        assert_eq!(sum(&floating_pointer()), 0);
        for cpus in [1, 2, MAX_CPUS] {
            let table = table(cpus);
            assert_eq!(sum(&table), 0);
            assert_eq!(table.len(), 44 + usize::from(cpus) * 20 + 8 * (1 + 1 + 24 + 2));
            assert_eq!(usize::from(u16::from_le_bytes([table[4], table[5]])), table.len());
            assert!(table.len() <= layout::MP_TABLE_MAX);
        }
    }

    #[test]
    fn only_the_first_processor_boots() {
        let table = table(3);
        let flags: Vec<u8> = (0..3).map(|cpu| table[44 + cpu * 20 + 3]).collect();
        assert_eq!(flags, [3, 1, 1]);
    }
}

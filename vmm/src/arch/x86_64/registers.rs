//! The state of the boot processor at the PVH entry point (Xen docs/misc/pvh.pandoc, "x86/HVM direct boot ABI").
//!
//! Application processors stay in KVM's reset state and wait for INIT and SIPI. KVM resets the FPU to its
//! initial state and the boot processor's LINT0 to ExtINT; the kernel programs its local APICs itself.

use kvm_bindings::{kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;

use super::layout;
use crate::memory::file;
use crate::virtio::GuestRam;

const CR0_PROTECTED: u64 = 1;
/// Bit 1 is always set.
const RFLAGS_RESET: u64 = 2;

/// Access byte and flags of a descriptor, and the selector they are loaded from (index times 8).
const CODE: (u64, u16) = (0xc09b, 0x8);
const DATA: (u64, u16) = (0xc093, 0x10);
const TASK: (u64, u16) = (0x008b, 0x18);
const FLAT_LIMIT: u32 = 0xffff_ffff;
const TASK_LIMIT: u32 = 0x67;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("KVM refuses the boot registers: {0}")]
    Kvm(#[from] kvm_ioctls::Error),
    #[error("cannot write the boot GDT: {0}")]
    Gdt(#[from] std::io::Error),
}

/// Puts `vcpu` at `entry` in flat 32-bit protected mode without paging, EBX on the start info.
///
/// # Errors
/// If KVM refuses, or guest RAM has no place for the GDT.
pub fn setup_boot_cpu(vcpu: &VcpuFd, memory: &GuestRam, entry: u64) -> Result<(), Error> {
    let table =
        [0, descriptor(CODE.0, FLAT_LIMIT), descriptor(DATA.0, FLAT_LIMIT), descriptor(TASK.0, TASK_LIMIT)];
    let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    file::write(memory, &bytes, layout::GDT)?;

    let mut sregs = vcpu.get_sregs()?;
    sregs.gdt.base = layout::GDT;
    sregs.gdt.limit = (bytes.len() - 1) as u16;
    sregs.idt.base = 0;
    sregs.idt.limit = 0;
    sregs.cs = segment(CODE, FLAT_LIMIT);
    sregs.ds = segment(DATA, FLAT_LIMIT);
    sregs.es = segment(DATA, FLAT_LIMIT);
    sregs.fs = segment(DATA, FLAT_LIMIT);
    sregs.gs = segment(DATA, FLAT_LIMIT);
    sregs.ss = segment(DATA, FLAT_LIMIT);
    sregs.tr = segment(TASK, TASK_LIMIT);
    sregs.cr0 = CR0_PROTECTED;
    sregs.cr4 = 0;
    sregs.efer = 0;
    vcpu.set_sregs(&sregs)?;

    let regs = kvm_regs { rflags: RFLAGS_RESET, rip: entry, rbx: layout::START_INFO, ..Default::default() };
    vcpu.set_regs(&regs)?;
    Ok(())
}

/// The 8 bytes in the GDT; a limit above 20 bits is in pages (the granularity flag is in `access`).
fn descriptor(access: u64, limit: u32) -> u64 {
    let limit = u64::from(if limit > 0xf_ffff { limit >> 12 } else { limit });
    (limit & 0xffff) | (access & 0xff) << 40 | (limit >> 16 & 0xf) << 48 | (access >> 12 & 0xf) << 52
}

/// The hidden part of the segment register.
fn segment((access, selector): (u64, u16), limit: u32) -> kvm_segment {
    let bit = |shift: u32| (access >> shift & 1) as u8;
    kvm_segment {
        base: 0,
        limit,
        selector,
        type_: (access & 0xf) as u8,
        s: bit(4),
        dpl: (access >> 5 & 3) as u8,
        present: bit(7),
        avl: bit(12),
        l: bit(13),
        db: bit(14),
        g: bit(15),
        unusable: 0,
        padding: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_descriptors_are_the_well_known_ones() {
        assert_eq!(descriptor(CODE.0, FLAT_LIMIT), 0x00cf_9b00_0000_ffff);
        assert_eq!(descriptor(DATA.0, FLAT_LIMIT), 0x00cf_9300_0000_ffff);
        assert_eq!(descriptor(TASK.0, TASK_LIMIT), 0x0000_8b00_0000_0067);
    }

    #[test]
    fn code_is_32_bit_present_and_executable() {
        let code = segment(CODE, FLAT_LIMIT);
        assert_eq!((code.type_, code.s, code.present, code.db, code.g, code.l), (0xb, 1, 1, 1, 1, 0));
    }
}

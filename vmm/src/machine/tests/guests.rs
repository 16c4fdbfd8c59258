//! The guests' code, assembled into the test binary and loaded as ELF kernels at 1 MiB with a PVH note.

use std::arch::global_asm;
use std::io::Write;

use tempfile::NamedTempFile;

/// Where each guest runs.
const BASE: u32 = 0x10_0000;

/// Defines `fn name() -> &[u8]`, the machine code of a 32-bit guest. `{base}` plus an offset from `start` is an
/// absolute address.
macro_rules! guest {
    ($(#[$doc:meta])* $name:ident, $symbol:literal, $code:literal) => {
        global_asm!(
            ".pushsection .rodata", ".code32",
            concat!(".global guest_", $symbol, "_start"), concat!("guest_", $symbol, "_start:"),
            concat!(".set start, ", "guest_", $symbol, "_start"),
            ".set base, 0x100000",
            $code,
            concat!(".global guest_", $symbol, "_end"), concat!("guest_", $symbol, "_end:"),
            ".code64", ".popsection",
            options(att_syntax)
        );
        $(#[$doc])*
        pub(super) fn $name() -> &'static [u8] {
            unsafe extern "C" {
                #[link_name = concat!("guest_", $symbol, "_start")]
                static START: u8;
                #[link_name = concat!("guest_", $symbol, "_end")]
                static END: u8;
            }
            let (start, end) = (&raw const START, &raw const END);
            // SAFETY: both symbols are in the same section, in this order, around bytes that nobody writes.
            unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
        }
    };
}

guest!(
    /// Resets the machine through the keyboard controller.
    reset, "reset",
    "mov $0xfe, %al
     out %al, $0x64
     1: jmp 1b"
);

guest!(
    /// An invalid instruction without an interrupt table.
    triple_fault, "triple_fault", "ud2"
);

guest!(
    /// Never leaves.
    spin, "spin", "1: jmp 1b"
);

/// Where [`count`] counts, in physical memory.
pub(super) const COUNTER: u64 = 0x7000;

guest!(
    /// Counts for ever.
    count, "count", "1: incl 0x7000
     jmp 1b"
);

guest!(
    /// Halts with interrupts off after saying so, as Linux does.
    halt, "halt",
    "mov $(base + message - start), %esi
     mov $(message_end - message), %ecx
     mov $0x3f8, %dx
     rep outsb
     1: cli
     hlt
     jmp 1b
     message: .ascii \"reboot: System halted\\n\"
     message_end:"
);

guest!(
    /// Says Y for each expectation that holds and N for others: an empty port, an empty address, the serial port's
    /// status, the first virtio window; then resets.
    probe, "probe",
    "mov $0x90000, %esp
     in $0x80, %al
     cmp $0xff, %al
     call say
     mov 0xe0000000, %eax
     cmp $0xffffffff, %eax
     call say
     mov $0x3fd, %dx
     in %dx, %al
     cmp $0x60, %al
     call say
     mov 0xd0000000, %eax
     cmp $0x74726976, %eax
     call say
     mov 0xd0000008, %eax
     cmp $4, %eax
     call say
     movl $0, 0xd0000050
     mov $0xfe, %al
     out %al, $0x64
     say:
     mov $0x3f8, %dx
     mov $'Y', %al
     je 2f
     mov $'N', %al
     2: out %al, %dx
     ret"
);

guest!(
    /// Waits for an interrupt on IOAPIC pin 16, edge triggered, vector 0x30; says I and resets.
    interrupt, "interrupt",
    "mov $0x90000, %esp
     lidt base + idt_pointer - start
     movl $0x1ff, 0xfee000f0
     movl $0x31, 0xfec00000
     movl $0, 0xfec00010
     movl $0x30, 0xfec00000
     movl $0x30, 0xfec00010
     mov $0x3f8, %dx
     mov $'R', %al
     out %al, %dx
     sti
     1: hlt
     jmp 1b
     handler:
     mov $0x3f8, %dx
     mov $'I', %al
     out %al, %dx
     mov $0xfe, %al
     out %al, $0x64
     .balign 8
     idt_pointer: .word 0x31 * 8 - 1
     .long base + idt - start
     .balign 8
     idt: .fill 0x30, 8, 0
     .word handler - start, 8, 0x8e00, base >> 16"
);

guest!(
    /// The first processor starts the second (INIT, SIPI to 0x8000), which says A and sets a flag; then the first
    /// says B and resets.
    two_processors, "two_processors",
    "mov $(base + trampoline - start), %esi
     mov $0x8000, %edi
     mov $(trampoline_end - trampoline), %ecx
     rep movsb
     movl $0x1ff, 0xfee000f0
     movl $0x01000000, 0xfee00310
     movl $0x4500, 0xfee00300
     movl $0x01000000, 0xfee00310
     movl $0x4608, 0xfee00300
     1: pause
     cmpb $1, 0x7000
     jne 1b
     mov $0x3f8, %dx
     mov $'B', %al
     out %al, %dx
     mov $0xfe, %al
     out %al, $0x64
     .code16
     trampoline:
     mov $0x3f8, %dx
     mov $'A', %al
     out %al, %dx
     xor %ax, %ax
     mov %ax, %ds
     movb $1, 0x7000
     2: hlt
     jmp 2b
     trampoline_end:
     .code32"
);

guest!(
    /// Enters long mode with 2 MiB identity pages for 8 GiB, writes and reads the last 8 bytes below 5 GiB and the
    /// first above, says Y or N, resets.
    high_memory, "high_memory",
    "mov $0x10000, %edi
     xor %eax, %eax
     mov $0x800, %ecx
     rep stosl
     movl $0x11003, 0x10000
     mov $8, %ecx
     mov $0x11000, %edi
     mov $0x12003, %eax
     1: mov %eax, (%edi)
     add $0x1000, %eax
     add $8, %edi
     loop 1b
     mov $0x1000, %ecx
     mov $0x12000, %edi
     mov $0x83, %eax
     xor %edx, %edx
     5: mov %eax, (%edi)
     mov %edx, 4(%edi)
     add $0x200000, %eax
     adc $0, %edx
     add $8, %edi
     loop 5b
     mov $0x10000, %eax
     mov %eax, %cr3
     mov $0x20, %eax
     mov %eax, %cr4
     mov $0xc0000080, %ecx
     rdmsr
     or $0x100, %eax
     wrmsr
     mov %cr0, %eax
     or $0x80000000, %eax
     mov %eax, %cr0
     lgdt base + gdt_pointer - start
     ljmp $8, $(base + long_mode - start)
     .code64
     long_mode:
     movabs $0x1122334455667788, %rax
     movabs $0x13ffffff8, %rbx
     mov %rax, (%rbx)
     movabs $0x100000000, %rcx
     mov %rbx, (%rcx)
     mov $0x3f8, %dx
     cmp (%rbx), %rax
     jne 3f
     cmp (%rcx), %rbx
     jne 3f
     mov $'Y', %al
     jmp 4f
     3: mov $'N', %al
     4: out %al, %dx
     mov $0xfe, %al
     out %al, $0x64
     .code32
     .balign 8
     gdt_pointer: .word 15
     .long base + gdt - start
     .balign 8
     gdt: .quad 0
     .quad 0x00af9b000000ffff"
);

/// Writes `code` as an ELF kernel that boots through PVH.
pub(super) fn kernel(code: &[u8]) -> NamedTempFile {
    const CODE_AT: u64 = 4096;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 62] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1_u32.to_le_bytes());
    for long in [0_u64, 64, 0] {
        elf.extend(long.to_le_bytes());
    }
    elf.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 2, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    let len = code.len() as u64;
    for (kind, offset, address, file, memory) in
        [(1_u32, CODE_AT, u64::from(BASE), len, len + 4096), (4, 256, 0, 20, 0)]
    {
        elf.extend(kind.to_le_bytes());
        elf.extend(5_u32.to_le_bytes());
        for long in [offset, 0, address, file, memory, 4] {
            elf.extend(long.to_le_bytes());
        }
    }
    elf.resize(256, 0);
    for word in [4_u32, 4, 18, u32::from_le_bytes(*b"Xen\0"), BASE] {
        elf.extend(word.to_le_bytes());
    }
    elf.resize(CODE_AT as usize, 0);
    elf.extend(code);
    file(&elf)
}

/// The smallest archive that passes for an initramfs.
pub(super) fn initramfs() -> NamedTempFile {
    let mut bytes = b"070701".to_vec();
    bytes.resize(110, b'0');
    bytes.extend(b"TRAILER!!!\0");
    file(&bytes)
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

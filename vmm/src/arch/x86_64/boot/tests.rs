//! Kernels and archives that are what they should be, and others.

use std::io::Write;
use std::path::Path;

use vm_memory::Bytes;
use zerocopy::IntoBytes;

use super::elf::{FileHeader, ProgramHeader};
use super::*;

const KERNEL_AT: u64 = 0x100_0000;

/// A kernel of one page of code, 100 bytes of data at an odd place, and a PVH note.
struct Image {
    header: FileHeader,
    programs: [ProgramHeader; 3],
    note: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        let header = FileHeader {
            ident: *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
            kind: 2,
            machine: 62,
            version: 1,
            entry: 0,
            program_offset: 64,
            section_offset: 0,
            flags: 0,
            header_size: 64,
            program_size: 56,
            program_count: 3,
            section_size: 0,
            section_count: 0,
            names: 0,
        };
        let program = |kind, offset, physical_address, file_size, memory_size| ProgramHeader {
            kind,
            flags: 0,
            offset,
            virtual_address: 0,
            physical_address,
            file_size,
            memory_size,
            align: 4,
        };
        let mut note = Vec::new();
        for (kind, entry) in [(5_u32, 1_u32), (18, KERNEL_AT as u32 + 16)] {
            note.extend([4_u32, 4, kind].map(u32::to_le_bytes).concat());
            note.extend(b"Xen\0");
            note.extend(entry.to_le_bytes());
        }
        let programs = [
            program(1, 4096, KERNEL_AT, 8192, 8192),
            program(1, 4096 + 8192, KERNEL_AT + 0x2010, 100, 5000),
            program(4, 512, 0, note.len() as u64, 0),
        ];
        Self { header, programs, note }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.as_bytes().to_vec();
        bytes.extend(self.programs.as_bytes());
        bytes.resize(512, 0);
        bytes.extend(&self.note);
        bytes.resize(4096, 0);
        bytes.extend((0..8292_u32).map(|i| (i % 251) as u8 + 1));
        bytes
    }
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn cpio() -> Vec<u8> {
    let mut bytes = b"070701".to_vec();
    bytes.extend([b'0'; 104]);
    bytes.extend(b"TRAILER!!!\0");
    bytes.resize(512, 0);
    bytes
}

fn load_into(mib: u64, kernel: &[u8], initramfs: &[u8], cmdline: &str) -> (GuestRam, Result<u64, Error>) {
    let memory = crate::memory::allocate(mib << 20).unwrap();
    let images = Images {
        kernel: &file(kernel),
        kernel_path: Path::new("/boot/vmlinux"),
        initramfs: &file(initramfs),
        initramfs_path: Path::new("/boot/initramfs.cpio"),
    };
    let result = load(&memory, &images, cmdline, 1);
    (memory, result)
}

fn refused(kernel: &[u8], initramfs: &[u8]) -> String {
    load_into(64, kernel, initramfs, "").1.unwrap_err().to_string()
}

#[test]
fn everything_is_where_the_kernel_looks_for_it() {
    let kernel = Image::new().bytes();
    let (memory, entry) = load_into(64, &kernel, &cpio(), "console=none");
    assert_eq!(entry.unwrap(), KERNEL_AT + 16);
    let mut seen = vec![0; 8192];
    memory.read_slice(&mut seen, GuestAddress(KERNEL_AT)).unwrap();
    assert_eq!(seen, kernel[4096..4096 + 8192]);
    let mut seen = vec![0; 5000];
    memory.read_slice(&mut seen, GuestAddress(KERNEL_AT + 0x2010)).unwrap();
    assert_eq!(seen[..100], kernel[4096 + 8192..]);
    assert!(seen[100..].iter().all(|b| *b == 0), "bss is zero");

    let word = |at| memory.read_obj::<u32>(GuestAddress(at)).unwrap();
    let long = |at| memory.read_obj::<u64>(GuestAddress(at)).unwrap();
    assert_eq!((word(layout::START_INFO), word(layout::START_INFO + 4)), (0x336e_c578, 1));
    let (modules, line) = (long(layout::START_INFO + 16), long(layout::START_INFO + 24));
    let mut text = [0; 13];
    memory.read_slice(&mut text, GuestAddress(line)).unwrap();
    assert_eq!(&text, b"console=none\0");
    assert_eq!((long(modules), long(modules + 8)), ((64 << 20) - 4096, 512));
    assert_eq!(word(long(modules)).to_le_bytes(), *b"0707");
    let memmap = long(layout::START_INFO + 40);
    assert_eq!(word(layout::START_INFO + 48), 2);
    assert_eq!((long(memmap), long(memmap + 8)), (0, layout::LOW_RAM_END));
    assert_eq!((long(memmap + 24), long(memmap + 32)), (1 << 20, 63 << 20));
    assert_eq!(word(layout::MP_POINTER).to_le_bytes(), *b"_MP_");
    assert_eq!(word(layout::MP_TABLE).to_le_bytes(), *b"PCMP");
}

#[test]
fn memory_above_the_hole_is_in_the_memory_map() {
    let (memory, entry) = load_into(4096, &Image::new().bytes(), &cpio(), "");
    entry.unwrap();
    let at = layout::MEMMAP + 2 * 24;
    assert_eq!(memory.read_obj::<u64>(GuestAddress(at)).unwrap(), layout::HIGH_RAM_START);
    assert_eq!(memory.read_obj::<u64>(GuestAddress(at + 8)).unwrap(), 1 << 30);
}

#[test]
fn a_kernel_cut_anywhere_is_truncated_or_no_kernel() {
    let whole = Image::new().bytes();
    for len in (0..whole.len()).step_by(97).chain([63, 64, 231, 232, 4095, 4096, whole.len() - 1]) {
        let error = refused(&whole[..len], &cpio());
        assert!(error.starts_with("kernel /boot/vmlinux: is truncated"), "{len}: {error}");
        assert!(error.contains("build it again"), "{error}");
    }
}

#[test]
fn damaged_kernels_are_refused() {
    type Damage = fn(&mut Image);
    let cases: [(Damage, &str); 10] = [
        (|i| i.header.ident[0] = 0, "not an uncompressed"),
        (|i| i.header.ident[4] = 1, "not an uncompressed"),
        (|i| i.header.machine = 3, "not an uncompressed"),
        (|i| i.header.program_count = 0, "damaged"),
        (|i| i.header.program_offset = u64::MAX, "damaged"),
        (|i| i.programs[0].physical_address = u64::MAX - 4096, "damaged"),
        (|i| i.programs[0].memory_size = 1, "damaged"),
        (|i| i.programs[1].physical_address = 0x8000, "first MiB"),
        (|i| i.programs[2].kind = 6, "no PVH entry"),
        (|i| i.note[0] = 0xff, "no PVH entry"),
    ];
    for (damage, text) in cases {
        let mut image = Image::new();
        damage(&mut image);
        let error = refused(&image.bytes(), &cpio());
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn an_entry_outside_the_kernel_is_refused() {
    let mut image = Image::new();
    let end = image.note.len();
    image.note[end - 4..].copy_from_slice(&0x10_u32.to_le_bytes());
    assert!(refused(&image.bytes(), &cpio()).contains("damaged"));
}

#[test]
fn a_kernel_or_initramfs_larger_than_memory_says_how_much_it_needs() {
    let mut image = Image::new();
    image.programs[1].memory_size = 100 << 20;
    let error = refused(&image.bytes(), &cpio());
    assert!(error.contains("needs 117 MiB") && error.contains("has 64 MiB"), "{error}");

    let mut big = cpio();
    big.resize(50 << 20, 1);
    big.extend(b"TRAILER!!!\0");
    let error = refused(&Image::new().bytes(), &big);
    assert!(error.contains("initramfs.cpio needs") && error.contains("give it more memory"), "{error}");
}

#[test]
fn an_initramfs_that_is_none_is_refused() {
    let kernel = Image::new().bytes();
    for (bytes, text) in [
        (Vec::new(), "too short"),
        (vec![b'x'; 4096], "does not begin with 070701"),
        (cpio()[..112].to_vec(), "is truncated"),
        (vec![0; 4096], "does not begin with 070701"),
    ] {
        let error = refused(&kernel, &bytes);
        assert!(error.starts_with("initramfs /boot/initramfs.cpio: ") && error.contains(text), "{error}");
    }
}

#[test]
fn a_command_line_that_does_not_fit_is_refused() {
    let longest = "x".repeat(layout::CMDLINE_MAX - 1);
    load_into(64, &Image::new().bytes(), &cpio(), &longest).1.unwrap();
    let error = load_into(64, &Image::new().bytes(), &cpio(), &format!("{longest}y")).1.unwrap_err();
    assert!(error.to_string().contains("shorten"), "{error}");
}

//! The few parts of ELF64 (System V gABI, chapter 4 and 5) that a kernel image needs, each checked against the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The PVH entry note: type and name (Xen include/public/elfnote.h).
const NOTE_PHYS32_ENTRY: u32 = 18;
const NOTE_NAME: &[u8] = b"Xen\0";

const MAX_PROGRAM_HEADERS: u16 = 64;
/// A kernel's notes are a few hundred bytes.
const MAX_NOTES: u64 = 64 * 1024;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PF_W: u32 = 2;
const EM_X86_64: u16 = 62;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("is not an uncompressed 64-bit x86 ELF file")]
    Magic,
    #[error("has damaged program headers")]
    Headers,
    #[error("is truncated: {need} bytes are needed, {have} are there")]
    Truncated { need: u64, have: u64 },
    #[error("has no PVH entry point (CONFIG_PVH)")]
    NoPvh,
}

/// One PT_LOAD segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) file_size: u64,
    /// Guest physical.
    pub(super) address: u64,
    memory_size: u64,
    /// What the program writes to, though the kernel patches some of the other pages too.
    pub(super) writable: bool,
}

impl Segment {
    /// First address behind it; the sum was checked.
    pub(super) fn end(&self) -> u64 {
        self.address + self.memory_size
    }
}

#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) segments: Vec<Segment>,
    /// Guest physical address of the 32-bit PVH entry point.
    pub(super) entry: u64,
}

impl Kernel {
    /// First address behind all segments.
    pub(super) fn end(&self) -> u64 {
        self.segments.iter().map(Segment::end).max().unwrap_or(0)
    }
}

#[derive(FromBytes, IntoBytes, Immutable, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct FileHeader {
    pub(super) ident: [u8; 16],
    pub(super) kind: u16,
    pub(super) machine: u16,
    pub(super) version: u32,
    pub(super) entry: u64,
    pub(super) program_offset: u64,
    pub(super) section_offset: u64,
    pub(super) flags: u32,
    pub(super) header_size: u16,
    pub(super) program_size: u16,
    pub(super) program_count: u16,
    pub(super) section_size: u16,
    pub(super) section_count: u16,
    pub(super) names: u16,
}

#[derive(FromBytes, IntoBytes, Immutable, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct ProgramHeader {
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) virtual_address: u64,
    pub(super) physical_address: u64,
    pub(super) file_size: u64,
    pub(super) memory_size: u64,
    pub(super) align: u64,
}

/// Reads the headers and the notes of a kernel image.
pub(super) fn parse(file: &File) -> Result<Kernel, Error> {
    let have = file.metadata()?.len();
    let mut bytes = [0; size_of::<FileHeader>()];
    if have < bytes.len() as u64 {
        return Err(Error::Truncated { need: bytes.len() as u64, have });
    }
    file.read_exact_at(&mut bytes, 0)?;
    let header = FileHeader::read_from_bytes(&bytes).map_err(|_| Error::Magic)?;
    // Magic, 64 bit, little endian.
    if header.ident[..6] != *b"\x7fELF\x02\x01" || header.machine != EM_X86_64 {
        return Err(Error::Magic);
    }
    if usize::from(header.program_size) != size_of::<ProgramHeader>()
        || !(1..=MAX_PROGRAM_HEADERS).contains(&header.program_count)
    {
        return Err(Error::Headers);
    }
    let mut table = vec![0; usize::from(header.program_count) * size_of::<ProgramHeader>()];
    within(header.program_offset, table.len() as u64, have)?;
    file.read_exact_at(&mut table, header.program_offset)?;

    let mut segments = Vec::new();
    let mut entry = None;
    for chunk in table.chunks_exact(size_of::<ProgramHeader>()) {
        let program = ProgramHeader::read_from_bytes(chunk).map_err(|_| Error::Headers)?;
        match program.kind {
            PT_LOAD => segments.extend(segment(&program, have)?),
            PT_NOTE if entry.is_none() => entry = find_entry(file, &program, have)?,
            _ => {}
        }
    }
    if segments.is_empty() {
        return Err(Error::Headers);
    }
    let entry = entry.ok_or(Error::NoPvh)?;
    if !segments.iter().any(|s| s.address <= entry && entry < s.end()) {
        return Err(Error::Headers);
    }
    Ok(Kernel { segments, entry })
}

/// Refuses a range that is not wholly in a file of `have` bytes.
fn within(offset: u64, len: u64, have: u64) -> Result<(), Error> {
    let need = offset.checked_add(len).ok_or(Error::Headers)?;
    if need > have { Err(Error::Truncated { need, have }) } else { Ok(()) }
}

fn segment(program: &ProgramHeader, have: u64) -> Result<Option<Segment>, Error> {
    if program.memory_size == 0 {
        return Ok(None);
    }
    within(program.offset, program.file_size, have)?;
    if program.file_size > program.memory_size
        || program.physical_address.checked_add(program.memory_size).is_none()
    {
        return Err(Error::Headers);
    }
    Ok(Some(Segment {
        offset: program.offset,
        file_size: program.file_size,
        address: program.physical_address,
        memory_size: program.memory_size,
        writable: program.flags & PF_W != 0,
    }))
}

fn find_entry(file: &File, program: &ProgramHeader, have: u64) -> Result<Option<u64>, Error> {
    within(program.offset, program.file_size, have)?;
    if program.file_size > MAX_NOTES {
        return Err(Error::Headers);
    }
    let mut notes = vec![0; program.file_size as usize];
    file.read_exact_at(&mut notes, program.offset)?;
    let align = if program.align == 8 { 8 } else { 4 };
    Ok(pvh_entry(&notes, align))
}

/// Walks the notes: three words, a name and a descriptor, each padded to `align`.
fn pvh_entry(mut notes: &[u8], align: usize) -> Option<u64> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    loop {
        let name_len = word(notes, 0)? as usize;
        let desc_len = word(notes, 4)? as usize;
        let kind = word(notes, 8)?;
        let desc_at = 12_usize.checked_add(name_len)?.checked_next_multiple_of(align)?;
        let next = desc_at.checked_add(desc_len)?.checked_next_multiple_of(align)?;
        let name = notes.get(12..12 + name_len)?;
        if kind == NOTE_PHYS32_ENTRY && name == NOTE_NAME {
            let desc = notes.get(desc_at..desc_at + desc_len)?;
            return match desc_len {
                4 => word(desc, 0).map(u64::from),
                8 => Some(u64::from_le_bytes(desc.try_into().ok()?)),
                _ => None,
            };
        }
        notes = notes.get(next..)?;
    }
}

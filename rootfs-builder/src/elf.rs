//! Recognises programs that run where no dynamic loader is: statically linked ELF files for this machine.

/// `e_machine` of x86-64 and AArch64 (ELF gABI, chapter 4).
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
/// `PT_INTERP`: the segment that names a dynamic loader.
const PT_INTERP: u32 = 3;

/// Checks that `file` is a 64-bit little-endian executable for this architecture that names no loader.
///
/// # Errors
/// The reason why it is not, as text.
pub(crate) fn check_static(file: &[u8]) -> Result<(), String> {
    if file.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("it is not a 64-bit ELF file".into());
    }
    let kind = u16_at(file, 16)?;
    if kind != 2 && kind != 3 {
        return Err(format!("it is not executable (ELF type {kind})"));
    }
    let machine = u16_at(file, 18)?;
    if machine != MACHINE {
        return Err(format!("it is for another machine (ELF machine {machine}, not {MACHINE})"));
    }
    let offset = usize::try_from(u64_at(file, 32)?).map_err(|_| truncated())?;
    let size = usize::from(u16_at(file, 54)?);
    for index in 0..usize::from(u16_at(file, 56)?) {
        let header = index.checked_mul(size).and_then(|at| at.checked_add(offset)).ok_or_else(truncated)?;
        if u32_at(file, header)? == PT_INTERP {
            return Err("it is dynamically linked, and no loader is there".into());
        }
    }
    Ok(())
}

fn truncated() -> String {
    "it is truncated".into()
}

fn bytes_at<const N: usize>(file: &[u8], offset: usize) -> Result<[u8; N], String> {
    let end = offset.checked_add(N).ok_or_else(truncated)?;
    file.get(offset..end).and_then(|bytes| bytes.try_into().ok()).ok_or_else(truncated)
}

fn u16_at(file: &[u8], offset: usize) -> Result<u16, String> {
    bytes_at(file, offset).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], offset: usize) -> Result<u32, String> {
    bytes_at(file, offset).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], offset: usize) -> Result<u64, String> {
    bytes_at(file, offset).map(u64::from_le_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The smallest file that passes, with one program header of the given type.
    pub(crate) fn elf(segment: u32) -> Vec<u8> {
        let mut file = vec![0u8; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[16..18].copy_from_slice(&2u16.to_le_bytes());
        file[18..20].copy_from_slice(&MACHINE.to_le_bytes());
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&1u16.to_le_bytes());
        file[64..68].copy_from_slice(&segment.to_le_bytes());
        file
    }

    #[test]
    fn accepts_a_static_program() {
        assert_eq!(check_static(&elf(1)), Ok(()));
    }

    #[test]
    fn refuses_what_cannot_run_without_a_loader() {
        assert!(check_static(&elf(PT_INTERP)).unwrap_err().contains("dynamically linked"));
        assert!(check_static(b"#!/bin/sh\n").unwrap_err().contains("not a 64-bit ELF"));
        let mut other = elf(1);
        other[18] = 40;
        assert!(check_static(&other).unwrap_err().contains("another machine"));
    }

    #[test]
    fn survives_every_truncation_and_wild_offsets() {
        let whole = elf(1);
        for length in 0..68 {
            assert!(check_static(&whole[..length]).is_err(), "{length} bytes");
        }
        let mut wild = whole;
        wild[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(check_static(&wild).is_err());
    }
}

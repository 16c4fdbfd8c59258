//! One request: decoded from a chain, checked, done, answered with a status byte.

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH,
    VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
    VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::disk::{Disk, SECTOR};
use crate::virtio::device_queue::Chain;
use crate::virtio::guest_iovec::GuestIovec;

/// Ranges in one discard or write-zeroes request.
pub(super) const MAX_RANGES: u32 = 16;
/// Sectors of one range to discard: 2 GiB.
pub(super) const MAX_DISCARD: u32 = 1 << 22;
/// Sectors of one range of zeroes: 64 MiB, which a disk that needs them written can still do in a moment.
pub(super) const MAX_ZEROES: u32 = 1 << 17;

const HEADER_LEN: usize = 16;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    kind: U32,
    reserved: U32,
    sector: U64,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Range {
    sector: U64,
    sectors: U32,
    flags: U32,
}

/// Why a request was not done; the status byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Failed,
    Unsupported,
}

/// Does a request and writes its status; returns the number of bytes written to the chain.
///
/// `write_through`: the driver will not flush, so writes are stable when they are answered.
pub(super) fn serve(disk: &Disk, chain: Chain<'_>, write_through: bool) -> u32 {
    let Chain { readable, writable, .. } = chain;
    // The status is the last byte; without one there is no way to answer.
    let Some(room) = writable.len().checked_sub(1) else { return 0 };
    let mut status = writable.clone();
    status.advance(room);
    let mut answer = writable;
    answer.truncate(room);
    let (code, written) = match execute(disk, readable, answer, write_through) {
        Ok(written) => (VIRTIO_BLK_S_OK, written),
        Err(Refusal::Failed) => (VIRTIO_BLK_S_IOERR, 0),
        Err(Refusal::Unsupported) => (VIRTIO_BLK_S_UNSUPP, 0),
    };
    status.copy_from(&[code as u8]);
    written + 1
}

fn execute(
    disk: &Disk,
    mut data: GuestIovec<'_>,
    answer: GuestIovec<'_>,
    write_through: bool,
) -> Result<u32, Refusal> {
    let header: Header = read(&data)?;
    data.advance(HEADER_LEN);
    let sector = header.sector.get();
    match header.kind.get() {
        VIRTIO_BLK_T_IN => {
            let len = answer.len();
            let offset = range(disk, sector, len)?;
            disk.read(answer, offset).map_err(|_| Refusal::Failed)?;
            // A chain is shorter than 2^32 bytes.
            Ok(len as u32)
        }
        VIRTIO_BLK_T_OUT => {
            writable(disk)?;
            let offset = range(disk, sector, data.len())?;
            disk.write(data, offset).map_err(|_| Refusal::Failed)?;
            stable(disk, write_through)
        }
        VIRTIO_BLK_T_FLUSH => stable(disk, !disk.read_only),
        VIRTIO_BLK_T_GET_ID => Ok(answer.copy_from(&disk.id) as u32),
        VIRTIO_BLK_T_DISCARD => {
            for_ranges(disk, data, 0, MAX_DISCARD, |offset, len, _| disk.discard(offset, len))?;
            stable(disk, write_through)
        }
        VIRTIO_BLK_T_WRITE_ZEROES => {
            let known = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
            for_ranges(disk, data, known, MAX_ZEROES, |offset, len, flags| {
                disk.write_zeroes(offset, len, flags & known != 0)
            })?;
            stable(disk, write_through)
        }
        _ => Err(Refusal::Unsupported),
    }
}

/// Calls `apply` with offset, length and flags of each range, after all of them were checked.
fn for_ranges(
    disk: &Disk,
    mut data: GuestIovec<'_>,
    known_flags: u32,
    max_sectors: u32,
    apply: impl Fn(u64, u64, u32) -> std::io::Result<()>,
) -> Result<(), Refusal> {
    writable(disk)?;
    let size = size_of::<Range>();
    if data.is_empty() || !data.len().is_multiple_of(size) || data.len() / size > MAX_RANGES as usize {
        return Err(Refusal::Failed);
    }
    let mut ranges = Vec::with_capacity(data.len() / size);
    while !data.is_empty() {
        let asked: Range = read(&data)?;
        data.advance(size);
        let (count, flags) = (asked.sectors.get(), asked.flags.get());
        if flags & !known_flags != 0 {
            return Err(Refusal::Unsupported);
        }
        let offset = disk.offset(asked.sector.get(), u64::from(count)).ok_or(Refusal::Failed)?;
        if count > max_sectors {
            return Err(Refusal::Failed);
        }
        ranges.push((offset as u64, u64::from(count) * SECTOR, flags));
    }
    for (offset, len, flags) in ranges {
        // fallocate(2) refuses empty ranges.
        if len > 0 {
            apply(offset, len, flags).map_err(|_| Refusal::Failed)?;
        }
    }
    Ok(())
}

/// Whole sectors, all of them on the disk; returns their byte offset.
fn range(disk: &Disk, sector: u64, len: usize) -> Result<i64, Refusal> {
    let len = len as u64;
    if !len.is_multiple_of(SECTOR) {
        return Err(Refusal::Failed);
    }
    disk.offset(sector, len / SECTOR).ok_or(Refusal::Failed)
}

fn writable(disk: &Disk) -> Result<(), Refusal> {
    if disk.read_only { Err(Refusal::Failed) } else { Ok(()) }
}

fn stable(disk: &Disk, now: bool) -> Result<u32, Refusal> {
    if now {
        disk.flush().map_err(|_| Refusal::Failed)?;
    }
    Ok(0)
}

/// A copy of the structure at the start of the buffers.
fn read<T: FromZeros + FromBytes + IntoBytes>(from: &GuestIovec<'_>) -> Result<T, Refusal> {
    let mut value = T::new_zeroed();
    let len = size_of::<T>();
    if from.copy_to(value.as_mut_bytes()) < len {
        return Err(Refusal::Failed);
    }
    Ok(value)
}

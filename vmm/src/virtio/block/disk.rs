//! The file below the device: its size and what can be done with ranges of it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};

use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_getfl};

use crate::config::BlockConfig;
use crate::virtio::guest_iovec::GuestIovec;

/// The unit of the protocol, whatever the disk's blocks are.
pub(super) const SECTOR: u64 = 512;
/// Bytes of VIRTIO_BLK_T_GET_ID.
pub(super) const ID_LEN: usize = 20;
static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

nix::ioctl_read_bad!(blksszget, libc::BLKSSZGET, libc::c_int);
nix::ioctl_write_ptr_bad!(blkdiscard, 0x1277, [u64; 2]);

/// Why a file cannot be a disk.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    #[error("cannot use {path} as a disk: {source}")]
    Inspect { path: String, source: io::Error },
    #[error("cannot use {path} as a disk: it is neither a regular file nor a block device")]
    NoDisk { path: String },
    #[error("cannot use {path} as a disk: it is smaller than one sector (512 bytes)")]
    Empty { path: String },
    #[error("cannot write to disk {path}: it was opened for reading only")]
    NotWritable { path: String },
    #[error("the serial number {serial:?} of disk {path} has more than 20 bytes")]
    Serial { path: String, serial: String },
}

/// A raw disk.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
    pub(super) sectors: u64,
    /// Bytes of a logical block.
    pub(super) block_size: u32,
    pub(super) read_only: bool,
    pub(super) id: [u8; ID_LEN],
    is_device: bool,
}

impl Disk {
    pub(super) fn new(config: &BlockConfig, mut file: File) -> Result<Self, BlockError> {
        let path = config.path.display().to_string();
        let inspect = |source: io::Error| BlockError::Inspect { path: path.clone(), source };
        let kind = file.metadata().map_err(inspect)?.file_type();
        let is_device = kind.is_block_device();
        if !is_device && !kind.is_file() {
            return Err(BlockError::NoDisk { path });
        }
        let flags = fcntl_getfl(&file).map_err(|error| inspect(error.into()))?;
        if !config.read_only && flags & OFlags::ACCMODE != OFlags::RDWR {
            return Err(BlockError::NotWritable { path });
        }
        let mut id = [0; ID_LEN];
        let Some(start) = id.get_mut(..config.serial.len()) else {
            return Err(BlockError::Serial { path, serial: config.serial.clone() });
        };
        start.copy_from_slice(config.serial.as_bytes());
        let sectors = file.seek(SeekFrom::End(0)).map_err(inspect)? / SECTOR;
        if sectors == 0 {
            return Err(BlockError::Empty { path });
        }
        let block_size = if is_device { logical_block_size(&file).map_err(inspect)? } else { SECTOR as u32 };
        Ok(Self { file, sectors, block_size, read_only: config.read_only, id, is_device })
    }

    /// The byte offset of a range of sectors, if all of it is on the disk.
    pub(super) fn offset(&self, sector: u64, count: u64) -> Option<i64> {
        let end = sector.checked_add(count)?;
        if end > self.sectors {
            return None;
        }
        i64::try_from(sector.checked_mul(SECTOR)?).ok()
    }

    /// Reads all of the buffers from `offset`.
    pub(super) fn read(&self, mut to: GuestIovec<'_>, offset: i64) -> io::Result<()> {
        transfer(&mut to, offset, |buffers, offset| buffers.read_at(&self.file, offset))
    }

    /// Writes all of the buffers to `offset`.
    pub(super) fn write(&self, mut from: GuestIovec<'_>, offset: i64) -> io::Result<()> {
        transfer(&mut from, offset, |buffers, offset| buffers.write_at(&self.file, offset))
    }

    /// Everything written is on stable storage afterwards.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The content of the range does not matter any more: advice, so a disk that cannot do it has done its best.
    pub(super) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let result = if self.is_device {
            let range = [offset, len];
            // SAFETY: the argument is two u64, as BLKDISCARD reads.
            unsafe { blkdiscard(self.file.as_raw_fd(), &raw const range) }.map(drop).map_err(io::Error::from)
        } else {
            self.punch(offset, len)
        };
        result.or_else(|error| if unsupported(&error) { Ok(()) } else { Err(error) })
    }

    /// The range reads as zeroes afterwards; `unmap` allows to give its space back.
    pub(super) fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        let zero = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        let result = if unmap { self.punch(offset, len) } else { self.fallocate(zero, offset, len) };
        match result {
            Err(error) if unsupported(&error) => self.write_zeroes_slowly(offset, len),
            result => result,
        }
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fallocate(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len)
    }

    fn fallocate(&self, flags: FallocateFlags, offset: u64, len: u64) -> io::Result<()> {
        Ok(fallocate(&self.file, flags, offset, len)?)
    }

    fn write_zeroes_slowly(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let count = (len - done).min(ZEROES.len() as u64) as usize;
            self.file.write_all_at(ZEROES.get(..count).unwrap_or_default(), offset + done)?;
            done += count as u64;
        }
        Ok(())
    }
}

/// Repeats `step` until all buffers are done.
fn transfer(
    buffers: &mut GuestIovec<'_>,
    mut offset: i64,
    step: impl Fn(&GuestIovec<'_>, i64) -> io::Result<usize>,
) -> io::Result<()> {
    while !buffers.is_empty() {
        match step(buffers, offset) {
            // The file was truncated behind our back.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffers.advance(count);
                offset = offset.saturating_add(count as i64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

fn logical_block_size(file: &File) -> io::Result<u32> {
    let mut size = 0;
    // SAFETY: BLKSSZGET writes one int.
    unsafe { blksszget(file.as_raw_fd(), &raw mut size) }?;
    Ok(u32::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(SECTOR as u32))
}

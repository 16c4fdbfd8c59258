//! The content of a file, from the archive to where it belongs.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt;

use super::{Entry, TarError, TarReader};

/// Files at least this long may have holes for their zeros.
const HOLES_FROM: u64 = 1 << 20;

/// Why a file's content could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error("write: {0}")]
    Write(#[from] io::Error),
}

/// Writes the data of `entry`, which is next in `tar`, to the empty `file`.
///
/// # Errors
/// Of the archive or of the file.
pub fn write_data<R: BufRead>(file: &File, entry: &Entry, tar: &mut TarReader<R>) -> Result<(), DataError> {
    let mut pieces = entry.sparse.iter().flatten().filter(|piece| piece.length > 0);
    let (mut offset, mut left) = match entry.sparse {
        Some(_) => (0, 0),
        None => (0, entry.size),
    };
    let mut written = 0;
    loop {
        while left == 0 {
            let Some(piece) = pieces.next() else { break };
            (offset, left) = (piece.offset, piece.length);
        }
        let data = tar.data()?;
        if data.is_empty() {
            break;
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        let part = data.get(..count).unwrap_or_default();
        if entry.size < HOLES_FROM || part.iter().any(|byte| *byte != 0) {
            file.write_all_at(part, offset)?;
            written = offset + count as u64;
        }
        tar.consume(count);
        offset += count as u64;
        left -= count as u64;
    }
    if written != entry.size {
        file.set_len(entry.size)?;
    }
    Ok(())
}

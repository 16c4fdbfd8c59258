//! Where the last lines begin, found from the end.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use flate2::bufread::GzDecoder;

use super::chain::Link;

const BLOCK: usize = 64 << 10;

/// Leaves of the chain what holds the last `count` lines, with plain files at the first of them. Returned is how many
/// lines of the first file come before those.
pub(super) fn seek(chain: &mut Vec<Link>, count: u64) -> io::Result<u64> {
    let mut wanted = count;
    let mut first = chain.len();
    let mut skip = 0;
    while let Some(link) = first.checked_sub(1).and_then(|index| chain.get(index)) {
        // The current file is followed even if none of its lines is wanted.
        if wanted == 0 && !link.is_current() {
            break;
        }
        first -= 1;
        if link.is_compressed() {
            let lines = count_compressed(&link.file)?;
            skip = lines.saturating_sub(wanted);
            wanted = wanted.saturating_sub(lines);
        } else {
            (&link.file).seek(SeekFrom::Start(0))?;
            wanted -= seek_plain(&link.file, wanted)?;
        }
    }
    chain.drain(..first);
    Ok(skip)
}

/// Goes to the first of the last `wanted` lines, or of all; the number of those that are there. A line that has no
/// end yet is none, and comes after them.
fn seek_plain(file: &File, wanted: u64) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut end = file.metadata()?.len();
    let mut ends = 0;
    while end > 0 {
        let length = end.min(BLOCK as u64) as usize;
        let start = end - length as u64;
        let part = block.get_mut(..length).unwrap_or_default();
        file.read_exact_at(part, start)?;
        for at in memchr::memrchr_iter(b'\n', part) {
            if ends == wanted {
                (&*file).seek(SeekFrom::Start(start + at as u64 + 1))?;
                return Ok(wanted);
            }
            ends += 1;
        }
        end = start;
    }
    Ok(ends)
}

fn count_compressed(file: &File) -> io::Result<u64> {
    let mut decoder = GzDecoder::new(BufReader::new(file));
    let mut block = vec![0; BLOCK];
    let mut lines = 0;
    // What is behind damage is not read later either.
    while let Ok(length @ 1..) = decoder.read(&mut block) {
        lines += memchr::memchr_iter(b'\n', block.get(..length).unwrap_or_default()).count() as u64;
    }
    (&*file).seek(SeekFrom::Start(0))?;
    Ok(lines)
}

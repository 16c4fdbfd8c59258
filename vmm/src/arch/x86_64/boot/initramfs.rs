//! Refuses what the guest kernel would not unpack, before a machine is started for it.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Magic of a cpio archive in `newc` format, without and with checksums (cpio(5)).
const MAGICS: [&[u8; 6]; 2] = [b"070701", b"070702"];
const HEADER_LEN: u64 = 110;
/// Name of the last member; the archive ends at most some padding after it.
const TRAILER: &[u8] = b"TRAILER!!!\0";
/// cpio pads archives to 512 bytes by default, some writers to a page.
const MAX_PADDING: u64 = 8 * 1024;

/// Returns the archive's size, bytes.
pub(super) fn check(file: &File) -> Result<u64, String> {
    let size = file.metadata().map_err(|e| format!("cannot be read: {e}"))?.len();
    if size < HEADER_LEN {
        return Err("is not a cpio archive (newc): it is too short".to_owned());
    }
    let mut magic = [0; 6];
    file.read_exact_at(&mut magic, 0).map_err(|e| format!("cannot be read: {e}"))?;
    if !MAGICS.contains(&&magic) {
        return Err("is not a plain cpio archive (newc): it does not begin with 070701".to_owned());
    }
    let tail_len = size.min(MAX_PADDING);
    let mut tail = vec![0; tail_len as usize];
    file.read_exact_at(&mut tail, size - tail_len).map_err(|e| format!("cannot be read: {e}"))?;
    let used = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 2);
    if !tail.get(..used).is_some_and(|used| used.ends_with(TRAILER)) {
        return Err("is truncated: the end of the cpio archive is missing".to_owned());
    }
    Ok(size)
}

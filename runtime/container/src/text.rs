//! Text that others wrote, on its way to a terminal or into memory.

use std::io;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// At most `max` bytes of `bytes`; what is no UTF-8 is replaced, and every control character by a question mark, as ps
/// does.
pub fn printable(bytes: &[u8], max: usize) -> String {
    let cut = bytes.get(..max).unwrap_or(bytes);
    let text = String::from_utf8_lossy(cut);
    let mut clean: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    // A replacement is longer than what it replaces.
    clean.truncate(clean.floor_char_boundary(max));
    clean
}

/// The first `max` bytes of a file of the kernel's.
pub(crate) fn read_bounded(path: &str, max: usize) -> io::Result<String> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(String::from_utf8_lossy(&read_to(&file, max)?).into_owned())
}

/// Reads until the end, or `max` bytes.
pub(crate) fn read_to(file: impl std::os::fd::AsFd, max: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while bytes.len() < max {
        let want = chunk.len().min(max - bytes.len());
        let Some(room) = chunk.get_mut(..want) else { break };
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *room))?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(room.get(..count).unwrap_or_default());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(printable(b"a\x1b[2J\nb\x7f\xff\xc2\x9bz\0", 100), "a?[2J?b?\u{fffd}?z?");
        assert_eq!(printable("\u{e9}".repeat(10).as_bytes(), 5), "\u{e9}\u{e9}");
        assert_eq!(printable(&[0xff; 10], 7), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn no_more_is_read_than_was_asked_for() {
        assert_eq!(read_bounded("/proc/self/stat", 5).expect("read").len(), 5);
        assert_eq!(read_bounded("/dev/zero", 10_000).expect("read").len(), 10_000);
        assert_eq!(read_bounded("/dev/null", 10).expect("read"), "");
    }
}

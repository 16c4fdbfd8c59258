//! Lines of a file that still grows. One that is too long to be ours is passed over.

use std::io::{self, ErrorKind, Read};

/// Bytes of a line. Ours have six for each of the 16 KiB of a part at most, and the attributes.
const LONGEST: usize = 1 << 20;
const CHUNK: usize = 64 << 10;

/// What was read and not yet given out.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    start: usize,
    scanned: usize,
    skipping: bool,
}

impl Lines {
    /// The next whole line, without its end. None at the end of what is there; the beginning of a line is kept for
    /// when there is more.
    pub(super) fn next(&mut self, from: &mut dyn Read) -> io::Result<Option<&[u8]>> {
        loop {
            let rest = self.bytes.get(self.scanned..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', rest) {
                let line = self.start..self.scanned + at;
                self.start = line.end + 1;
                self.scanned = self.start;
                if !std::mem::take(&mut self.skipping) {
                    return Ok(self.bytes.get(line));
                }
                continue;
            }
            self.scanned = self.bytes.len();
            if self.skipping || self.scanned - self.start > LONGEST {
                self.skipping = true;
                self.start = self.scanned;
            }
            self.bytes.drain(..self.start);
            (self.start, self.scanned) = (0, self.bytes.len());
            self.bytes.resize(self.scanned + CHUNK, 0);
            let space = self.bytes.get_mut(self.scanned..).unwrap_or_default();
            let read = loop {
                match from.read(space) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.bytes.truncate(self.scanned + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(None);
            }
        }
    }

    /// Forgets the line that was begun: it will not go on.
    pub(super) fn clear(&mut self) {
        *self = Lines::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines, mut from: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(line) = lines.next(&mut from).unwrap() {
            out.push(String::from_utf8(line.to_vec()).unwrap());
        }
        out
    }

    #[test]
    fn begun_lines_wait_for_their_end() {
        let mut lines = Lines::default();
        assert_eq!(all(&mut lines, b"one\n\ntw"), ["one", ""]);
        assert!(all(&mut lines, b"").is_empty());
        assert_eq!(all(&mut lines, b"o\nthree"), ["two"]);
        lines.clear();
        assert_eq!(all(&mut lines, b"four\n"), ["four"]);
    }

    #[test]
    fn a_huge_line_is_passed_over_in_bounded_memory() {
        let mut lines = Lines::default();
        let huge = vec![b'x'; 5 * LONGEST];
        assert!(all(&mut lines, &huge).is_empty());
        assert!(lines.bytes.capacity() < 3 * LONGEST);
        assert_eq!(all(&mut lines, b"end\nnext\n"), ["next"]);
    }
}

//! Lines out of bytes. A line that is too long goes on in parts of a fixed length, as Docker cuts it.

/// Bytes of a part.
pub(super) const PART: usize = 16 << 10;

/// One stream's unfinished line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Less than [`PART`].
    pending: Vec<u8>,
}

impl Lines {
    /// Gives every line that `bytes` ends to `emit`, with whether it has a line end.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut emit: impl FnMut(&[u8], bool)) {
        loop {
            let room = PART - self.pending.len();
            let window = bytes.get(..room).unwrap_or(bytes);
            let (length, skip, whole) = match memchr::memchr(b'\n', window) {
                Some(at) => (at, 1, true),
                None if window.len() == room => (room, 0, false),
                None => break self.pending.extend_from_slice(bytes),
            };
            let (text, rest) = bytes.split_at(length);
            if self.pending.is_empty() {
                emit(text, whole);
            } else {
                self.pending.extend_from_slice(text);
                emit(&self.pending, whole);
                self.pending.clear();
            }
            bytes = rest.get(skip..).unwrap_or_default();
        }
    }

    /// Gives the line that will not end any more to `emit`.
    pub(super) fn finish(&mut self, emit: impl FnOnce(&[u8], bool)) {
        if !self.pending.is_empty() {
            emit(&self.pending, false);
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |text, whole| out.push((text.to_vec(), whole)));
        }
        lines.finish(|text, whole| out.push((text.to_vec(), whole)));
        out
    }

    fn line(text: &str, whole: bool) -> (Vec<u8>, bool) {
        (text.as_bytes().to_vec(), whole)
    }

    #[test]
    fn lines_however_they_come() {
        let want = vec![line("one", true), line("", true), line("two", true), line("rest", false)];
        assert_eq!(fed(&[b"one\n\ntwo\nrest"]), want);
        let bytes = b"one\n\ntwo\nrest";
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(fed(&single), want);
        assert_eq!(fed(&[b"", b"a\n", b""]), vec![line("a", true)]);
    }

    #[test]
    fn long_lines_go_in_parts() {
        let part = "x".repeat(PART);
        let whole = format!("{part}\n");
        assert_eq!(fed(&[whole.as_bytes()]), vec![line(&part, false), line("", true)], "as Docker has it");
        let longer = format!("ab\n{part}{part}yy\nz\n");
        let want =
            vec![line("ab", true), line(&part, false), line(&part, false), line("yy", true), line("z", true)];
        assert_eq!(fed(&[longer.as_bytes()]), want);
        let pieces: Vec<&[u8]> = longer.as_bytes().chunks(1000).collect();
        assert_eq!(fed(&pieces), want);
        let short = format!("{}\n", "x".repeat(PART - 1));
        assert_eq!(fed(&[short.as_bytes()]).len(), 1);
    }
}

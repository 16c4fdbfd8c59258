//! Detach keys: a sequence of control and other characters that leaves a container to itself.
//!
//! A part of the sequence that turns out not to be it is passed on when that is known, as Docker does.

/// Longest sequence.
const MAX: usize = 16;

/// The bytes of the sequence; none: there is no way to detach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    /// `ctrl-p,ctrl-q`
    fn default() -> Self {
        DetachKeys(vec![16, 17])
    }
}

impl std::str::FromStr for DetachKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        match keys {
            _ if text.is_empty() => Ok(DetachKeys::default()),
            Some(keys) if keys.len() <= MAX => Ok(DetachKeys(keys)),
            _ => Err(format!("Invalid escape keys ({text}) provided: Unknown character: '{text}'")),
        }
    }
}

/// `a`, `ctrl-a`, `ctrl-@`, `ctrl-[`, ...
fn key(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [key] if key.is_ascii() => Some(*key),
        [prefix @ .., key] if prefix == b"ctrl-" => match key {
            b'a'..=b'z' => Some(key - b'a' + 1),
            b'@' => Some(0),
            b'[' => Some(27),
            b'\\' => Some(28),
            b']' => Some(29),
            b'^' => Some(30),
            b'_' => Some(31),
            _ => None,
        },
        _ => None,
    }
}

/// Looks for the keys in what is typed.
#[derive(Debug)]
pub(crate) struct Watch {
    keys: DetachKeys,
    matched: usize,
}

impl Watch {
    pub(crate) fn new(keys: DetachKeys) -> Self {
        Watch { keys, matched: 0 }
    }

    /// What of `typed` goes to the container, and whether the keys were typed: then nothing behind them does.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let keys = &self.keys.0;
        let mut passed = Vec::with_capacity(typed.len());
        for &byte in typed {
            if keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == keys.len() {
                    self.matched = 0;
                    return (passed, true);
                }
                continue;
            }
            passed.extend_from_slice(&keys[..self.matched]);
            self.matched = usize::from(keys.first() == Some(&byte) && keys.len() > 1);
            if self.matched == 0 {
                passed.push(byte);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", &[16, 17])]
    #[case("ctrl-p,ctrl-q", &[16, 17])]
    #[case("a", b"a")]
    #[case("ctrl-@,ctrl-[,x", &[0, 27, b'x'])]
    fn sequences(#[case] text: &str, #[case] want: &[u8]) {
        assert_eq!(text.parse::<DetachKeys>().unwrap().0, want);
    }

    #[rstest]
    #[case("ctrl-")]
    #[case("ctrl-1")]
    #[case("ab")]
    #[case("a,,b")]
    fn no_sequences(#[case] text: &str) {
        assert!(text.parse::<DetachKeys>().unwrap_err().contains("Invalid escape keys"));
    }

    #[test]
    fn found_in_pieces_and_not_in_others() {
        let mut watch = Watch::new(DetachKeys::default());
        assert_eq!(watch.filter(b"ls\x10"), (b"ls".to_vec(), false));
        assert_eq!(watch.filter(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(watch.filter(b"\x10\x10\x11rest"), (b"\x10".to_vec(), true));
        let mut one = Watch::new("a".parse().unwrap());
        assert_eq!(one.filter(b"bca"), (b"bc".to_vec(), true));
    }
}

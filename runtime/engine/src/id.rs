//! Container ids: 64 hexadecimal digits from the kernel's random source.

use crate::error::{Error, Result};

/// Length of a full id.
pub const LENGTH: usize = 64;
/// Length of an id as tables show it.
pub const SHORT: usize = 12;

/// A new id. Docker refuses ids whose short form is all digits, because a shell or YAML would read it as a number.
pub fn generate() -> Result<String> {
    loop {
        let mut bytes = [0u8; LENGTH / 2];
        fill_random(&mut bytes)?;
        let id = hex(&bytes);
        if !id[..SHORT].bytes().all(|b| b.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// The first 12 digits.
pub fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// Whether `text` has the form of a full id.
pub fn is_full(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Fills `buffer` from getrandom(2), which blocks only before the pool was ever seeded.
pub(crate) fn fill_random(buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::rand::getrandom(&mut buffer[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Error::system("getrandom")(e)),
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_full_and_differ() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert!(is_full(&a) && is_full(&b));
        assert_ne!(a, b);
        assert_eq!(short(&a).len(), SHORT);
    }

    #[test]
    fn form_of_an_id() {
        assert!(!is_full("abc"));
        assert!(!is_full(&"g".repeat(64)));
        assert!(!is_full(&"A".repeat(64)));
        assert_eq!(hex(&[0x00, 0xff, 0x1a]), "00ff1a");
    }
}

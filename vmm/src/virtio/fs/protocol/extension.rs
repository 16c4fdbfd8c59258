//! Extensions at the end of a creating request (`fuse_ext_header`, since 7.38).

use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::message::Message;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ExtensionHeader {
    /// Bytes of this extension with the header, not padded.
    size: u32,
    kind: u32,
}

/// `FUSE_EXT_GROUPS`.
const GROUPS: u32 = 32;

/// The one supplementary group of the caller that the guest sends: the parent directory's, if he is in it.
///
/// # Errors
/// `EINVAL` if an extension does not fit its frame.
pub(crate) fn supplementary_group(extensions: &[u8]) -> Result<Option<u32>, Errno> {
    let mut message = Message::new(extensions);
    while message.remaining() >= size_of::<ExtensionHeader>() {
        let header: ExtensionHeader = message.take()?;
        let body = (header.size as usize).checked_sub(size_of::<ExtensionHeader>()).ok_or(Errno::INVAL)?;
        let body = message.bytes(body)?;
        if header.kind == GROUPS {
            let mut groups = Message::new(body);
            let count: u32 = groups.take()?;
            return if count == 0 { Ok(None) } else { groups.take().map(Some) };
        }
        // Extensions are padded to 8 bytes; the last one's padding may be cut off.
        let padding = (header.size as usize).next_multiple_of(8) - header.size as usize;
        message.bytes(padding.min(message.remaining()))?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn finds_the_group_also_behind_another_extension() {
        assert_eq!(supplementary_group(&words(&[16, GROUPS, 1, 77])), Ok(Some(77)));
        assert_eq!(supplementary_group(&words(&[12, 1, 0, 0, 16, GROUPS, 1, 78])), Ok(Some(78)));
        assert_eq!(supplementary_group(&words(&[12, GROUPS, 0, 0])), Ok(None));
        assert_eq!(supplementary_group(&[]), Ok(None));
    }

    #[test]
    fn refuses_lengths_that_do_not_fit() {
        assert_eq!(supplementary_group(&words(&[7, GROUPS, 1, 77])), Err(Errno::INVAL));
        assert_eq!(supplementary_group(&words(&[100, GROUPS, 1, 77])), Err(Errno::INVAL));
        assert_eq!(supplementary_group(&words(&[12, GROUPS, 1])), Err(Errno::INVAL));
        assert_eq!(supplementary_group(&words(&[u32::MAX, 1])), Err(Errno::INVAL));
    }
}

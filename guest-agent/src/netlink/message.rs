//! Building and parsing rtnetlink messages (netlink(7), rtnetlink(7)): native byte order, 4 byte alignment.

use nix::libc;

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Length of `struct rtattr`.
const ATTRIBUTE: usize = 4;

/// One request under construction.
#[derive(Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A request of type `kind` with the kind's fixed part.
    pub(super) fn new(kind: u16, flags: libc::c_int, sequence: u32, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(fixed);
        Self { bytes }
    }

    /// Adds an attribute; the values here are addresses, names and numbers, far below the format's 64 KiB.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.pad();
        self.bytes.extend_from_slice(&((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The whole message, its length filled in, padded so that another may follow.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.pad();
        self.bytes
    }
}

/// One message of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

/// The messages in one datagram; what is cut off or malformed ends them.
pub(super) fn replies(mut datagram: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(datagram, 0)? as usize;
        let reply = Reply {
            kind: u16_at(datagram, 4)?,
            sequence: u32_at(datagram, 8)?,
            body: datagram.get(HEADER..length)?,
        };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(reply)
    })
}

/// The value of the first attribute of type `kind` behind a fixed part of `fixed` bytes.
pub(super) fn find_attribute(body: &[u8], fixed: usize, kind: u16) -> Option<&[u8]> {
    let mut rest = body.get(fixed..)?;
    loop {
        let length = u16_at(rest, 0)? as usize;
        let value = rest.get(ATTRIBUTE..length)?;
        // The two highest bits of the type are flags (netlink(7)).
        if u16_at(rest, 2)? & 0x3fff == kind {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_parses() {
        let first =
            Request::new(16, 4, 1, &[9; 16]).attribute(3, b"eth0\0").attribute(1, &[1, 2, 3, 4, 5, 6]);
        let mut datagram = first.finish();
        assert_eq!(datagram.len() % 4, 0);
        datagram.extend(Request::new(20, 0, 2, &[]).finish());
        let replies: Vec<_> = replies(&datagram).collect();
        assert_eq!(replies.len(), 2);
        assert_eq!((replies[0].kind, replies[0].sequence), (16, 1));
        assert_eq!(find_attribute(replies[0].body, 16, 3), Some(b"eth0\0".as_slice()));
        assert_eq!(find_attribute(replies[0].body, 16, 1), Some([1, 2, 3, 4, 5, 6].as_slice()));
        assert_eq!(find_attribute(replies[0].body, 16, 7), None);
        assert_eq!((replies[1].kind, replies[1].sequence), (20, 2));
    }

    #[test]
    fn cut_off_and_malformed_messages_end_the_list() {
        let whole = Request::new(16, 4, 1, &[9; 16]).attribute(3, b"eth0\0").finish();
        for cut in 0..whole.len() - 3 {
            assert_eq!(replies(&whole[..cut]).count(), 0, "cut at {cut}");
            let _ = find_attribute(&whole[..cut], 32, 7);
        }
        for length in [0_u32, 3, 15, u32::MAX] {
            let mut bad = whole.clone();
            bad[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(replies(&bad).count(), 0, "length {length}");
        }
        // An attribute that says it has no length must not loop.
        assert_eq!(find_attribute(&[0; 16], 0, 7), None);
    }
}

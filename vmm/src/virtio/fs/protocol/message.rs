//! Reads the variable part of one request.

use std::ffi::CStr;

use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::name::Name;

/// What is left of a request's body. Every reader takes from the front and fails with `EINVAL` when it is short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// A fixed structure.
    pub(crate) fn take<T: FromBytes + KnownLayout + Immutable + Copy>(&mut self) -> Result<T, Errno> {
        let (value, rest) = T::read_from_prefix(self.rest).map_err(|_| Errno::INVAL)?;
        self.rest = rest;
        Ok(value)
    }

    /// A string up to and with its NUL.
    pub(crate) fn string(&mut self) -> Result<&'a CStr, Errno> {
        let text = CStr::from_bytes_until_nul(self.rest).map_err(|_| Errno::INVAL)?;
        self.rest = self.rest.get(text.to_bytes_with_nul().len()..).ok_or(Errno::INVAL)?;
        Ok(text)
    }

    /// The name of a directory entry.
    pub(crate) fn name(&mut self) -> Result<Name<'a>, Errno> {
        Name::new(self.string()?)
    }

    /// Exactly `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Errno> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Errno::INVAL)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::fs::protocol::requests::MkdirIn;

    #[test]
    fn parts_come_in_order() {
        let mut message = Message::new(b"\x01\0\0\0\x02\0\0\0name\0tail");
        let fixed: MkdirIn = message.take().unwrap();
        assert_eq!((fixed.mode, fixed.umask), (1, 2));
        assert_eq!(message.name().unwrap().to_bytes(), b"name");
        assert_eq!(message.bytes(4).unwrap(), b"tail");
        assert_eq!(message.remaining(), 0);
    }

    #[test]
    fn short_parts_are_refused() {
        assert_eq!(Message::new(&[0; 7]).take::<MkdirIn>().unwrap_err(), Errno::INVAL);
        assert_eq!(Message::new(b"no end").string(), Err(Errno::INVAL));
        assert_eq!(Message::new(b"").name(), Err(Errno::INVAL));
        assert_eq!(Message::new(b"abc").bytes(4), Err(Errno::INVAL));
    }
}

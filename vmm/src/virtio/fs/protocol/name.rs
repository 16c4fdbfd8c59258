//! Names of directory entries, checked once where they enter.

use std::ffi::CStr;

use rustix::io::Errno;

/// Longest name of a directory entry in bytes (Linux `NAME_MAX`).
pub(crate) const NAME_MAX: usize = 255;

/// One path component: not empty, not `.` or `..`, no slash, no NUL, at most [`NAME_MAX`] bytes.
///
/// Every name that a guest sends passes through [`Name::new`]; nothing below the server takes a bare string
/// as a name (CVE-2026-47243: an unchecked symlink name left the share).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'a>(&'a CStr);

impl<'a> Name<'a> {
    /// # Errors
    /// `ENAMETOOLONG` for a long name, `EINVAL` for one that is not a single component.
    pub(crate) fn new(text: &'a CStr) -> Result<Self, Errno> {
        let bytes = text.to_bytes();
        if bytes.len() > NAME_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
            return Err(Errno::INVAL);
        }
        Ok(Self(text))
    }

    pub(crate) fn as_c_str(self) -> &'a CStr {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn to_bytes(self) -> &'a [u8] {
        self.0.to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_component_is_a_name() {
        let longest = [vec![b'x'; NAME_MAX], vec![0]].concat();
        for good in [&b"a\0"[..], b"...\0", b"..a\0", b" \0", b"\xff\n\0", &longest] {
            assert!(Name::new(CStr::from_bytes_with_nul(good).unwrap()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for bad in [&b"\0"[..], b".\0", b"..\0", b"/\0", b"/etc\0", b"a/\0", b"a/b\0", b"../x\0"] {
            assert_eq!(Name::new(CStr::from_bytes_with_nul(bad).unwrap()), Err(Errno::INVAL), "{bad:?}");
        }
        let long = [vec![b'x'; NAME_MAX + 1], vec![0]].concat();
        assert_eq!(Name::new(CStr::from_bytes_with_nul(&long).unwrap()), Err(Errno::NAMETOOLONG));
    }
}

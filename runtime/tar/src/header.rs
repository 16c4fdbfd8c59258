//! One 512-byte tar header: v7, POSIX ustar and GNU (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual,
//! "Basic Tar Format").
//!
//! Fields are read as Go's archive/tar reads them, because Docker's and containerd's view of an image is the one that
//! others have checked: two readings of one archive would be a way to smuggle files past a scanner.

use super::Malformed;

pub(super) const BLOCK: usize = 512;
pub(super) type Block = [u8; BLOCK];

/// The fields of a header, before long names and extended attributes of other headers replace some of them.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) device: (u32, u32),
    pub(super) gnu: bool,
}

impl Header {
    pub(super) fn parse(block: &Block) -> Result<Self, Malformed> {
        check_sum(block)?;
        let gnu = field(block, 257, 8) == b"ustar  \0";
        let posix = field(block, 257, 6) == b"ustar\0";
        let mut path = text(field(block, 0, 100)).to_vec();
        if posix {
            let prefix = text(field(block, 345, 155));
            if !prefix.is_empty() {
                path = [prefix, b"/", &path].concat();
            }
        }
        let device = |offset| -> Result<u32, Malformed> {
            if !(gnu || posix) {
                return Ok(0);
            }
            let value = number(field(block, offset, 8))?;
            u32::try_from(value).map_err(|_| Malformed("a device number is out of range"))
        };
        let unsigned = |offset, length, what| {
            u64::try_from(number(field(block, offset, length))?).map_err(|_| Malformed(what))
        };
        Ok(Self {
            kind: block[156],
            path,
            link: text(field(block, 157, 100)).to_vec(),
            mode: (number(field(block, 100, 8))? & 0o7777) as u32,
            uid: unsigned(108, 8, "a user id is negative")?,
            gid: unsigned(116, 8, "a group id is negative")?,
            size: unsigned(124, 12, "a size is negative")?,
            mtime: number(field(block, 136, 12))?,
            device: (device(329)?, device(337)?),
            gnu,
        })
    }
}

pub(super) fn field(block: &Block, offset: usize, length: usize) -> &[u8] {
    block.get(offset..offset + length).unwrap_or_default()
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between blanks, or GNU's base-256 (a first bit of 1, two's complement, big endian).
pub(super) fn number(bytes: &[u8]) -> Result<i64, Malformed> {
    let malformed = Malformed("a number in a header is malformed");
    if let Some((&first, rest)) = bytes.split_first()
        && first & 0x80 != 0
    {
        let negative = first & 0x40 != 0;
        let start = if negative { i128::from(first) - 256 } else { i128::from(first & 0x3f) };
        let mut value = start;
        for byte in rest {
            value = value.checked_mul(256).ok_or(malformed)? + i128::from(*byte);
        }
        return i64::try_from(value).map_err(|_| malformed);
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let digits = bytes.get(start..).unwrap_or_default();
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    let mut value: i64 = 0;
    for byte in digits.get(..end).unwrap_or_default() {
        if !(b'0'..=b'7').contains(byte) {
            return Err(malformed);
        }
        value = value
            .checked_mul(8)
            .and_then(|value| value.checked_add(i64::from(byte - b'0')))
            .ok_or(malformed)?;
    }
    Ok(value)
}

/// Both sums that are in use: of unsigned bytes, and of signed ones as some old tars computed it.
fn check_sum(block: &Block) -> Result<(), Malformed> {
    let recorded = number(field(block, 148, 8))?;
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (at, &byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte as i8);
    }
    if recorded == unsigned || recorded == signed {
        Ok(())
    } else {
        Err(Malformed("a header's checksum is wrong"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_notations() {
        for (bytes, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
            (b"77777777777\0", 0o77_777_777_777),
            (b"\x80\0\0\0\0\0\0\x01\0\0\0\0", 1 << 32),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ] {
            assert_eq!(number(bytes), Ok(value), "{bytes:?}");
        }
        for bytes in [&b"000064x\0"[..], b"-1      ", b"\x80\x01\0\0\0\0\0\0\0\0\0\0", b"8       "] {
            assert!(number(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_flipped_bit_breaks_the_sum() {
        let mut header = tar::Header::new_gnu();
        header.set_path("some/file").unwrap();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_mtime(0);
        header.set_cksum();
        let mut block = *header.as_bytes();
        assert_eq!(Header::parse(&block).unwrap().path, b"some/file");
        block[3] ^= 1;
        assert!(Header::parse(&block).is_err());
    }
}

//! Where the data of a sparse file goes (GNU tar manual, "Storing Sparse Files"): the old GNU headers and the PAX
//! formats 0.0, 0.1 and 1.0.

use super::Malformed;
use super::header::{BLOCK, Block, field, number};

/// Pieces of one file: a map of 4 MiB of text.
const PIECES: usize = 262_144;

/// Data of `length` bytes at `offset`; what no piece covers reads as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub length: u64,
}

/// Pieces in order, without overlap, whose lengths make up the entry's data.
#[derive(Debug, Default)]
pub(super) struct Map {
    pieces: Vec<Piece>,
    end: u64,
    data: u64,
}

impl Map {
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<(), Malformed> {
        let malformed = Malformed("a sparse map is malformed");
        if offset < self.end || self.pieces.len() >= PIECES {
            return Err(malformed);
        }
        self.end = offset.checked_add(length).ok_or(malformed)?;
        self.data += length;
        self.pieces.push(Piece { offset, length });
        Ok(())
    }

    /// The pieces, if they fit a file of `real_size` bytes stored as `stored` bytes.
    pub(super) fn finish(self, real_size: u64, stored: u64) -> Result<Vec<Piece>, Malformed> {
        if self.end > real_size || self.data != stored {
            return Err(Malformed("a sparse map does not fit its file"));
        }
        Ok(self.pieces)
    }

    /// Alternating offsets and lengths.
    pub(super) fn from_numbers(numbers: &[u64]) -> Result<Self, Malformed> {
        let mut map = Self::default();
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Malformed("a sparse map is malformed"));
        }
        for [offset, length] in pairs {
            map.push(*offset, *length)?;
        }
        Ok(map)
    }

    /// The four pieces of an old GNU header or the 21 of its continuation; returns whether another one follows.
    pub(super) fn add_gnu(&mut self, block: &Block, continuation: bool) -> Result<bool, Malformed> {
        let (start, count, flag) = if continuation { (0, 21, 504) } else { (386, 4, 482) };
        for index in 0..count {
            let at = start + index * 24;
            let piece = field(block, at, 24);
            if piece.first().is_none_or(|byte| *byte == 0) {
                break;
            }
            let read = |offset| {
                u64::try_from(number(field(block, offset, 12))?)
                    .map_err(|_| Malformed("a sparse map is malformed"))
            };
            self.push(read(at)?, read(at + 12)?)?;
        }
        Ok(block.get(flag).is_some_and(|byte| *byte != 0))
    }
}

/// Reads the map of format 1.0, which stands in front of the data: decimal numbers, one per line, the first one the
/// count of pieces, padded to a whole block.
#[derive(Debug, Default)]
pub(super) struct TextMap {
    numbers: Vec<u64>,
    current: Option<u64>,
    pub blocks: u64,
}

impl TextMap {
    /// Takes the next block; returns the numbers after the count when the map is complete.
    pub(super) fn add(&mut self, block: &[u8; BLOCK]) -> Result<Option<Vec<u64>>, Malformed> {
        let malformed = Malformed("a sparse map is malformed");
        self.blocks += 1;
        for byte in block {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let value =
                        self.current.unwrap_or(0).checked_mul(10).and_then(|value| value.checked_add(digit));
                    self.current = Some(value.ok_or(malformed)?);
                }
                b'\n' => {
                    self.numbers.push(self.current.take().ok_or(malformed)?);
                    let count = self.numbers.first().copied().unwrap_or(0);
                    if count > PIECES as u64 {
                        return Err(malformed);
                    }
                    if self.numbers.len() as u64 == 1 + 2 * count {
                        self.numbers.remove(0);
                        return Ok(Some(std::mem::take(&mut self.numbers)));
                    }
                }
                _ => return Err(malformed),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_be_in_order_and_fit() {
        let map = Map::from_numbers(&[0, 5, 100, 7]).unwrap();
        assert_eq!(map.finish(107, 12).unwrap()[1], Piece { offset: 100, length: 7 });
        assert!(Map::from_numbers(&[0, 5, 100, 7]).unwrap().finish(106, 12).is_err());
        assert!(Map::from_numbers(&[0, 5, 100, 7]).unwrap().finish(107, 13).is_err());
        assert!(Map::from_numbers(&[10, 5, 12, 7]).is_err());
        assert!(Map::from_numbers(&[u64::MAX, 5]).is_err());
        assert!(Map::from_numbers(&[1]).is_err());
    }

    #[test]
    fn text_maps() {
        let block = |text: &str| {
            let mut block = [0u8; BLOCK];
            block[..text.len()].copy_from_slice(text.as_bytes());
            block
        };
        assert_eq!(TextMap::default().add(&block("2\n0\n5\n100\n7\n")), Ok(Some(vec![0, 5, 100, 7])));
        assert_eq!(TextMap::default().add(&block("0\n")), Ok(Some(vec![])));
        for text in ["\n", "x", "1\n-1\n", "99999999\n", "99999999999999999999999\n", "1\n0\n"] {
            assert!(TextMap::default().add(&block(text)).is_err(), "{text:?}");
        }
    }
}

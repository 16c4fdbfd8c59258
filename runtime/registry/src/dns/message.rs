//! The two DNS messages that a stub resolver needs (RFC 1035): a question for addresses and its answer.
//!
//! The name server follows aliases for us, so that names in answers are only stepped over and compression pointers
//! never followed. An answer that is cut off, not ours or malformed is an error, never a guess.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;
/// No host that is talked to needs more.
const ADDRESSES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    A = 1,
    Aaaa = 28,
}

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// None: the name has no address of this kind.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// Too long for a datagram: ask again over TCP.
    Truncated,
    /// The server could not or did not want to (response code).
    Failed(u8),
}

/// A recursive question for `name`; none if no DNS name is written so.
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend_from_slice(&id.to_be_bytes());
    // Recursion desired; one question.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    if message.len() > HEADER + 254 {
        return None;
    }
    message.push(0);
    message.extend_from_slice(&(kind as u16).to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    Some(message)
}

/// Reads the answer to `question`; none if this is not it.
pub(crate) fn answer(question: &[u8], message: &[u8]) -> Option<Answer> {
    let mut reader = Reader { message, at: 0 };
    let id = reader.take(2)?;
    let [flags, codes] = *reader.take(2)? else { return None };
    let (questions, answers) = (reader.number()?, reader.number()?);
    reader.take(4)?;
    let asked = question.get(HEADER..)?;
    let ours = question.get(..2)? == id && flags & 0x80 != 0;
    let same = questions == 1 && reader.take(asked.len())?.eq_ignore_ascii_case(asked);
    if !ours || !same {
        return None;
    }
    let code = codes & 0x0f;
    match code {
        _ if flags & 0x02 != 0 => return Some(Answer::Truncated),
        0 => {}
        3 => return Some(Answer::NoName),
        code => return Some(Answer::Failed(code)),
    }
    let kind = question.get(question.len().checked_sub(4)?..question.len().checked_sub(2)?)?;
    let mut addresses = Vec::new();
    for _ in 0..answers {
        reader.step_over_name()?;
        let (record, class) = (reader.take(2)?, reader.number()?);
        reader.take(4)?;
        let length = reader.number()?;
        let data = reader.take(usize::from(length))?;
        if record != kind || class != CLASS_IN || addresses.len() == ADDRESSES {
            continue;
        }
        match <[u8; 4]>::try_from(data).map(Ipv4Addr::from) {
            Ok(address) => addresses.push(IpAddr::V4(address)),
            Err(_) => addresses.push(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?))),
        }
    }
    Some(Answer::Addresses(addresses))
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn step_over_name(&mut self) -> Option<()> {
        loop {
            match *self.take(1)?.first()? {
                0 => return Some(()),
                length @ 1..=63 => _ = self.take(usize::from(length))?,
                // A pointer ends the name.
                192.. => return self.take(1).map(|_| ()),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(question: &[u8], flags: [u8; 2], records: &[&[u8]]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&flags);
        message[7] = records.len() as u8;
        message.extend(records.concat());
        message
    }

    /// An alias, then an address, both with a pointer to the question's name.
    const ALIAS: &[u8] = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06\x03cdn\xc0\x0c";
    const ADDRESS: &[u8] = b"\xc0\x2b\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x05\x06\x07\x08";

    #[test]
    fn asks_and_reads() {
        let asked = question(0x1234, "x.io", Kind::A).unwrap();
        assert_eq!(asked, b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x02io\x00\x00\x01\x00\x01");
        let message = reply(&asked, [0x81, 0x80], &[ALIAS, ADDRESS]);
        assert_eq!(answer(&asked, &message), Some(Answer::Addresses(vec!["5.6.7.8".parse().unwrap()])));
        let six = question(1, "x.io", Kind::Aaaa).unwrap();
        let record = [b"\x00\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10".as_slice(), &[0x20; 16]].concat();
        let Some(Answer::Addresses(found)) = answer(&six, &reply(&six, [0x81, 0x80], &[&record])) else {
            panic!("no addresses");
        };
        assert!(found[0].is_ipv6());
    }

    #[test]
    fn tells_failures_apart() {
        let asked = question(1, "x.io", Kind::A).unwrap();
        assert_eq!(answer(&asked, &reply(&asked, [0x81, 0x83], &[])), Some(Answer::NoName));
        assert_eq!(answer(&asked, &reply(&asked, [0x83, 0x80], &[])), Some(Answer::Truncated));
        assert_eq!(answer(&asked, &reply(&asked, [0x81, 0x82], &[])), Some(Answer::Failed(2)));
    }

    #[test]
    fn believes_only_answers_to_its_question() {
        let asked = question(1, "x.io", Kind::A).unwrap();
        let good = reply(&asked, [0x81, 0x80], &[ALIAS, ADDRESS]);
        for (at, byte) in [(0, 9), (2, 0x01), (13, b'y'), (5, 2)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(answer(&asked, &bad), None, "byte {at}");
        }
        for length in 0..good.len() {
            assert_eq!(answer(&asked, &good[..length]), None, "cut to {length}");
        }
    }

    #[test]
    fn survives_any_bytes() {
        let asked = question(1, "x.io", Kind::A).unwrap();
        let mut state = 1_u32;
        for _ in 0..20_000 {
            let mut message = reply(&asked, [0x81, 0x80], &[ALIAS, ADDRESS]);
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % message.len();
                message[at] = state as u8;
            }
            let _ = answer(&asked, &message);
        }
    }

    #[test]
    fn refuses_names_that_are_none() {
        for name in ["", "a..b", &"a".repeat(64), &"a.".repeat(128)] {
            assert_eq!(question(1, name, Kind::A), None, "{name}");
        }
    }
}

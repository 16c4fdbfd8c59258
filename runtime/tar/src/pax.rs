//! Records of extended tar headers: `length key=value\n` (POSIX.1-2017 pax, "pax Header Block").

use super::Malformed;

const XATTR: &[u8] = b"SCHILY.xattr.";
/// Extended attributes of one file; the kernel stores at most 64 KiB of names.
const XATTRS: usize = 256;

/// What an extended header says about the next entry.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    /// Seconds and nanoseconds since 1970.
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: SparseRecords,
}

/// The GNU.sparse records (GNU tar manual, "Storing Sparse Files").
#[derive(Debug, Default)]
pub(super) struct SparseRecords {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// Alternating offsets and lengths, of formats 0.0 and 0.1.
    pub(super) map: Vec<u64>,
}

impl Records {
    /// Adds the records of `data`; a key that comes twice has its last value, an empty value takes it back.
    pub(super) fn parse(&mut self, mut data: &[u8]) -> Result<(), Malformed> {
        while !data.is_empty() {
            let malformed = Malformed("an extended header is malformed");
            let space = data.iter().position(|byte| *byte == b' ').ok_or(malformed)?;
            let length = decimal(data.get(..space).unwrap_or_default()).ok_or(malformed)?;
            let length = usize::try_from(length).map_err(|_| malformed)?;
            let record = data.get(space + 1..length).ok_or(malformed)?;
            let (&[b'\n'], record) =
                record.split_last_chunk::<1>().map(|(rest, last)| (last, rest)).ok_or(malformed)?
            else {
                return Err(malformed);
            };
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(malformed)?;
            let (key, value) =
                (record.get(..equals).unwrap_or_default(), record.get(equals + 1..).unwrap_or_default());
            self.record(key, value)?;
            data = data.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let text = || -> Result<Option<Vec<u8>>, Malformed> {
            if value.contains(&0) {
                return Err(Malformed("a name has a NUL in it"));
            }
            Ok((!value.is_empty()).then(|| value.to_vec()))
        };
        let number = || -> Result<Option<u64>, Malformed> {
            if value.is_empty() {
                return Ok(None);
            }
            decimal(value).map(Some).ok_or(Malformed("a number in an extended header is malformed"))
        };
        match key {
            b"path" => self.path = text()?,
            b"linkpath" => self.link = text()?,
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => self.mtime = time(value)?,
            b"GNU.sparse.major" => self.sparse.major = number()?,
            b"GNU.sparse.minor" => self.sparse.minor = number()?,
            b"GNU.sparse.name" => self.sparse.name = text()?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = number()?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.map.extend(number()?),
            b"GNU.sparse.map" => {
                self.sparse.map.clear();
                for part in value.split(|byte| *byte == b',') {
                    self.sparse.map.push(decimal(part).ok_or(Malformed("a sparse map is malformed"))?);
                }
            }
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattr(name, value)?;
                }
            }
        }
        Ok(())
    }

    fn xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err(Malformed("the name of an extended attribute is malformed"));
        }
        self.xattrs.retain(|(known, _)| known != name);
        if self.xattrs.len() >= XATTRS {
            return Err(Malformed("a file has more than 256 extended attributes"));
        }
        self.xattrs.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

pub(super) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 20 {
        return None;
    }
    bytes.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// `[-]seconds[.fraction]`
fn time(value: &[u8]) -> Result<Option<(i64, u32)>, Malformed> {
    if value.is_empty() {
        return Ok(None);
    }
    let malformed = Malformed("a time in an extended header is malformed");
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let seconds = parts.next().and_then(decimal).ok_or(malformed)?;
    let mut seconds = i64::try_from(seconds).map_err(|_| malformed)?;
    let mut nanoseconds = 0u32;
    if let Some(fraction) = parts.next() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return Err(malformed);
        }
        for place in 0..9 {
            nanoseconds = nanoseconds * 10 + fraction.get(place).map_or(0, |digit| u32::from(digit - b'0'));
        }
    }
    if negative {
        seconds = -seconds;
        if nanoseconds > 0 {
            seconds -= 1;
            nanoseconds = 1_000_000_000 - nanoseconds;
        }
    }
    Ok(Some((seconds, nanoseconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: &[u8]) -> Result<Records, Malformed> {
        let mut records = Records::default();
        records.parse(data).map(|()| records)
    }

    #[test]
    fn reads_records() {
        let records = parse(
            b"12 path=a/b\n9 uid=70\n20 mtime=12.0000015\n15 SCHILY.xx=\0\n\
              29 SCHILY.xattr.user.a=x\ny=z\n",
        )
        .unwrap();
        assert_eq!(records.path.unwrap(), b"a/b");
        assert_eq!(records.uid, Some(70));
        assert_eq!(records.mtime, Some((12, 1500)));
        assert_eq!(records.xattrs, [(b"user.a".to_vec(), b"x\ny=z".to_vec())]);
    }

    #[test]
    fn last_value_counts_and_an_empty_one_takes_back() {
        assert_eq!(parse(b"9 uid=70\n9 uid=71\n").unwrap().uid, Some(71));
        assert_eq!(parse(b"9 uid=70\n7 uid=\n").unwrap().uid, None);
    }

    #[test]
    fn times_before_1970() {
        assert_eq!(time(b"-1.5"), Ok(Some((-2, 500_000_000))));
        assert_eq!(time(b"-1"), Ok(Some((-1, 0))));
        assert!(time(b"1.x").is_err() && time(b"1e9").is_err() && time(b"99999999999999999999").is_err());
    }

    #[test]
    fn refuses_malformed_records() {
        for data in [
            &b"x"[..],
            b"12 path=a/bX",
            b"99 path=a\n",
            b"0 path=a\n",
            b"3 a\n",
            b"7 path\n\n",
            b"12 path=a\0b\n",
            b"-1 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"18446744073709551615 path=a\n",
            b"10 uid=-1\n",
            b"23 SCHILY.xattr.=value\n",
        ] {
            assert!(parse(data).is_err(), "{:?}", String::from_utf8_lossy(data));
        }
    }
}

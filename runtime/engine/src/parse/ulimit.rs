//! `--ulimit NAME=SOFT[:HARD]`.

use oci_spec::runtime::PosixRlimitType as Type;
use serde::{Deserialize, Serialize};

/// One limit; `u64::MAX` is "unlimited".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub kind: Type,
    pub soft: u64,
    pub hard: u64,
}

/// The names of getrlimit(2) in lower case. `as` is not there, as in Docker.
const NAMES: [(&str, Type); 15] = [
    ("core", Type::RlimitCore),
    ("cpu", Type::RlimitCpu),
    ("data", Type::RlimitData),
    ("fsize", Type::RlimitFsize),
    ("locks", Type::RlimitLocks),
    ("memlock", Type::RlimitMemlock),
    ("msgqueue", Type::RlimitMsgqueue),
    ("nice", Type::RlimitNice),
    ("nofile", Type::RlimitNofile),
    ("nproc", Type::RlimitNproc),
    ("rss", Type::RlimitRss),
    ("rtprio", Type::RlimitRtprio),
    ("rttime", Type::RlimitRttime),
    ("sigpending", Type::RlimitSigpending),
    ("stack", Type::RlimitStack),
];

/// One `--ulimit` value.
pub fn parse(text: &str) -> Result<Ulimit, String> {
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    let (_, kind) = NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("invalid ulimit type: {name}"))?;
    let mut values = limits.split(':');
    let soft_text = values.next().unwrap_or_default();
    let soft = value(soft_text)?;
    let hard = values.next().map_or(Ok(soft), value)?;
    if values.next().is_some() {
        return Err(format!(
            "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        ));
    }
    if soft > hard {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {limits}"));
    }
    Ok(Ulimit { kind: *kind, soft, hard })
}

/// The name that `--ulimit` has for it.
pub fn name(kind: Type) -> &'static str {
    NAMES.iter().find(|(_, known)| *known == kind).map_or("as", |(name, _)| name)
}

/// A limit: a number, or -1 for none.
fn value(text: &str) -> Result<u64, String> {
    if text == "-1" {
        return Ok(u64::MAX);
    }
    text.parse::<i64>()
        .ok()
        .and_then(|n| u64::try_from(n).ok())
        .ok_or_else(|| format!("invalid ulimit value: {text:?} is not a number of 0 or more, nor -1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("nofile=512:1024", Type::RlimitNofile, 512, 1024)]
    #[case("nofile=1024", Type::RlimitNofile, 1024, 1024)]
    #[case("core=-1", Type::RlimitCore, u64::MAX, u64::MAX)]
    #[case("cpu=5:-1", Type::RlimitCpu, 5, u64::MAX)]
    #[case("stack=0", Type::RlimitStack, 0, 0)]
    fn good(#[case] text: &str, #[case] kind: Type, #[case] soft: u64, #[case] hard: u64) {
        assert_eq!(parse(text), Ok(Ulimit { kind, soft, hard }));
    }

    #[rstest]
    #[case("nofile", "invalid ulimit argument: nofile")]
    #[case("notype=1024:1024", "invalid ulimit type: notype")]
    #[case("as=1", "invalid ulimit type: as")]
    #[case("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2:1")]
    #[case("nofile=-1:1", "ulimit soft limit must be less than or equal to hard limit: -1:1")]
    #[case("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`")]
    fn bad(#[case] text: &str, #[case] want: &str) {
        assert_eq!(parse(text), Err(want.to_owned()));
    }

    #[rstest]
    #[case("nofile=x")]
    #[case("nofile=")]
    #[case("nofile=-2")]
    #[case("nofile=1:")]
    fn not_a_number(#[case] text: &str) {
        assert!(parse(text).is_err());
    }
}

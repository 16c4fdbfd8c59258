//! One line of a log file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::parse::timestamp;

pub use sandbox_shim::log::Stream;

/// A line of a container's output, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    pub stream: Stream,
    /// Nanoseconds since 1970.
    pub at_ns: i64,
    /// With its line end, unless it is a part of a long line or was never finished.
    pub text: Cow<'a, str>,
    /// Labels, variables and tag, as the container's log options chose them.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

impl Record<'_> {
    pub(super) fn parse(line: &[u8]) -> Option<Record<'_>> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let stream = if line.stream == "stderr" { Stream::Stderr } else { Stream::Stdout };
        Some(Record { stream, at_ns: timestamp::date(&line.time)?, text: line.log, attributes: line.attrs })
    }
}

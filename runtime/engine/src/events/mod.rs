//! The events of this run directory, read back. Who writes them is [`sandbox_shim::events`].

mod filter;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::Path;

pub use self::filter::EventFilter;
use crate::clock::realtime_ns;
use crate::error::{Error, Result};
use crate::rotated::{self, End, Range};
use sandbox_shim::calendar::Civil;
use sandbox_shim::events::journal;
pub use sandbox_shim::events::{Actor, Event};

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Without both, only what happens from now on. Nanoseconds since 1970, as the next.
    pub since_ns: Option<i64>,
    /// Without it, or when it is to come, events are waited for.
    pub until_ns: Option<i64>,
    pub filter: EventFilter,
}

/// Who takes the events; either may end the reading.
pub trait Reader {
    fn event(&mut self, event: &Event) -> ControlFlow<()>;
    /// Nothing more has happened for now; said while waiting only.
    fn idle(&mut self) -> ControlFlow<()>;
}

/// Reads events, oldest first.
///
/// # Errors
/// Docker's text when the times are the wrong way round.
pub fn read(run_root: &Path, options: &Options, reader: &mut dyn Reader) -> Result<()> {
    let Options { since_ns, until_ns, .. } = *options;
    if let (Some(since), Some(until)) = (since_ns, until_ns)
        && until < since
    {
        let text = |ns| Civil::utc(ns).rfc3339_nano();
        let (since, until) = (text(since), text(until));
        return Err(Error::invalid(format!("`since` time ({since}) cannot be after `until` time ({until})")));
    }
    let range = Range {
        since_ns,
        tail: (since_ns.is_none() && until_ns.is_none()).then_some(0),
        follow: until_ns.is_none_or(|until| until > realtime_ns()),
        until_ns,
    };
    let end = End { ended: &|| false, signal: None };
    rotated::read(&run_root.join(journal::FILE), range, end, &mut Sink { options, reader })
}

struct Sink<'a> {
    options: &'a Options,
    reader: &'a mut dyn Reader,
}

impl rotated::Sink for Sink<'_> {
    fn line(&mut self, line: &[u8]) -> ControlFlow<()> {
        // A torn line is passed over. Writers do not wait for each other, so a later event may stand before an earlier one.
        let Ok(event) = serde_json::from_slice::<Event>(line) else { return ControlFlow::Continue(()) };
        let Options { since_ns, until_ns, filter } = self.options;
        let in_time = since_ns.is_none_or(|since| event.time_ns >= since)
            && until_ns.is_none_or(|until| event.time_ns <= until);
        if in_time && filter.matches(&event) { self.reader.event(&event) } else { ControlFlow::Continue(()) }
    }

    fn idle(&mut self) -> ControlFlow<()> {
        self.reader.idle()
    }
}

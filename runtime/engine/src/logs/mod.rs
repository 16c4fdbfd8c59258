//! Containers' logs, read back.

mod ended;
mod record;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use sandbox_shim::log::{DEFAULT_DRIVER, LogPlan};

pub use self::record::{Record, Stream};
use crate::engine::Engine;
use crate::error::{Error, Result};
pub use crate::rotated::End;
use crate::rotated::{self, Range};
use crate::state::containers::{Container, State};

/// How long name servers may take for the host of a log daemon.
const LOOKUP: Duration = Duration::from_secs(10);

/// Which records.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Nanoseconds since 1970, as the next.
    pub since_ns: Option<i64>,
    pub until_ns: Option<i64>,
    /// Only the last so many of all streams.
    pub tail: Option<u64>,
    /// Wait for more until the container has ended.
    pub follow: bool,
    pub stdout: bool,
    pub stderr: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { since_ns: None, until_ns: None, tail: None, follow: false, stdout: true, stderr: true }
    }
}

/// Who takes the records; either may end the reading.
pub trait Reader {
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()>;
    /// Nothing more is there for now; said while following only.
    fn idle(&mut self) -> ControlFlow<()>;
}

/// Reads the log of a container, oldest record first. A line that is no record, because it was torn by a kill or a full disk, is
/// passed over.
///
/// # Errors
/// [`Error::Invalid`] in Docker's words when the driver keeps nothing to read.
pub fn read(
    driver: &str,
    container_dir: &Path,
    id: &str,
    options: &Options,
    end: End<'_>,
    reader: &mut dyn Reader,
) -> Result<()> {
    if !sandbox_shim::log::readable(driver) {
        return Err(Error::invalid("configured logging driver does not support reading"));
    }
    let path = sandbox_shim::log::json_file(container_dir, id);
    let Options { since_ns, until_ns, tail, follow, .. } = *options;
    let range = Range { since_ns, tail, follow, until_ns };
    rotated::read(&path, range, end, &mut Sink { options, reader })
}

impl Engine {
    /// Reads the log of a container; with `follow` until it has ended.
    ///
    /// # Errors
    /// Those of [`read`].
    pub fn logs(&self, container: &Container, options: &Options, reader: &mut dyn Reader) -> Result<()> {
        let dir = self.paths.container(&container.id);
        let lives = options.follow && matches!(container.state, State::Running);
        let signal = if lives { ended::signal(&dir)? } else { None };
        let end = End { ended: &|| signal.is_none(), signal: signal.as_ref().map(AsFd::as_fd) };
        let driver = self.recipe(container)?.request.log.driver;
        let driver = driver.as_deref().unwrap_or(DEFAULT_DRIVER);
        read(driver, &dir, &container.id, options, end, reader)
    }
}

/// Finds the addresses of a log daemon on the network, for the plan of a container that is about to start.
///
/// # Errors
/// Docker's text when there is no such host.
pub fn resolve(plan: &mut LogPlan) -> Result<()> {
    if let Some((host, port)) = sandbox_shim::log::network_address(&plan.driver, &plan.options) {
        let found = sandbox_registry::lookup(&host, LOOKUP).map_err(|error| {
            Error::invalid(format!("failed to initialize logging driver: lookup {host}: {error}"))
        })?;
        plan.addresses = found.into_iter().map(|address| SocketAddr::new(address, port)).collect();
    }
    Ok(())
}

struct Sink<'a> {
    options: &'a Options,
    reader: &'a mut dyn Reader,
}

impl rotated::Sink for Sink<'_> {
    fn line(&mut self, line: &[u8]) -> ControlFlow<()> {
        let Some(record) = Record::parse(line) else { return ControlFlow::Continue(()) };
        let Options { since_ns, until_ns, stdout, stderr, .. } = self.options;
        if until_ns.is_some_and(|until| record.at_ns > until) {
            return ControlFlow::Break(());
        }
        let wanted = match record.stream {
            Stream::Stdout => *stdout,
            Stream::Stderr => *stderr,
        };
        if !wanted || since_ns.is_some_and(|since| record.at_ns < since) {
            return ControlFlow::Continue(());
        }
        self.reader.record(&record)
    }

    fn idle(&mut self) -> ControlFlow<()> {
        self.reader.idle()
    }
}

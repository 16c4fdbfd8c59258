//! What becomes of a container's output besides being relayed: its log, by Docker's drivers and options.
//!
//! A [`Log`] takes bytes as they come ([`Log::write`]), makes lines of them, and gives those to the driver: files
//! ([`file`]), or a log daemon ([`remote`]). Nothing here starts a thread, for the supervisor forks containers from its own
//! memory: files are written and compressed in slices within `write`, daemons are served by a task of the supervisor's
//! event loop. A log that cannot be written loses lines and counts them; it never holds up or ends the container.

mod attributes;
mod escape;
mod file;
mod lines;
mod options;
mod remote;
mod size;
mod tag;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::file::JsonFile;
use self::lines::Lines;
use self::remote::Remote;
use crate::calendar;
use crate::isolation::Failure;

pub use self::file::compress::INODE;
pub use self::options::{DEFAULT_DRIVER, DRIVERS, network_address, readable, validate};

/// How a container is logged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlan {
    /// One of [`DRIVERS`].
    pub driver: String,
    /// `--log-opt`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    pub subject: Subject,
    /// Where [`network_address`] is; found by the engine, for the supervisor asks no name servers.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
}

/// Whose log it is: what tags and attributes are made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// 64 hex digits.
    pub id: String,
    pub name: String,
    pub image_id: String,
    /// As the user named it.
    pub image_name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `NAME=VALUE` each.
    #[serde(default)]
    pub env: Vec<String>,
}

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Also all output of a terminal.
    Stdout,
    Stderr,
}

impl Stream {
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One line, or a part of one that was too long or never ended.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    stream: Stream,
    /// Nanoseconds since 1970.
    at_ns: i64,
    /// Without the line end.
    text: &'a [u8],
    /// Whether there was a line end.
    whole: bool,
}

/// Path of the file that the drivers which can be read write to.
pub fn json_file(container_dir: &Path, id: &str) -> PathBuf {
    container_dir.join(format!("{id}-json.log"))
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    stdout: Lines,
    stderr: Lines,
    driver: Driver,
}

#[derive(Debug)]
enum Driver {
    None,
    File(Box<JsonFile>),
    Remote(Remote),
}

impl Log {
    /// Opens the log of a container that is about to start, in the supervisor's event loop (a `LocalSet`).
    ///
    /// # Errors
    /// Docker's text for options that are wrong and for a daemon that cannot be reached.
    pub async fn open(plan: &LogPlan, container_dir: &Path) -> Result<Log, Failure> {
        let wrong = |text: String| Failure::engine(format!("failed to initialize logging driver: {text}"));
        validate(&plan.driver, &plan.options).map_err(wrong)?;
        let driver = match plan.driver.as_str() {
            "none" => Driver::None,
            "json-file" | "local" => {
                let settings = file::Settings::new(plan).map_err(wrong)?;
                let path = json_file(container_dir, &plan.subject.id);
                Driver::File(Box::new(JsonFile::open(path, settings).map_err(wrong)?))
            }
            _ => Driver::Remote(Remote::open(plan).await.map_err(wrong)?),
        };
        Ok(Log { stdout: Lines::default(), stderr: Lines::default(), driver })
    }

    /// Takes what was read at once from a stream. All whole lines in it have reached the driver when this returns.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let lines = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let at_ns = calendar::now_ns();
        match &mut self.driver {
            Driver::None => {}
            Driver::File(file) => {
                lines.feed(bytes, |text, whole| file.line(&Line { stream, at_ns, text, whole }));
                file.commit();
            }
            Driver::Remote(remote) => {
                lines.feed(bytes, |text, whole| remote.line(&Line { stream, at_ns, text, whole }));
            }
        }
    }

    /// Lines that were lost so far.
    pub fn dropped(&self) -> u64 {
        match &self.driver {
            Driver::None => 0,
            Driver::File(file) => file.dropped(),
            Driver::Remote(remote) => remote.dropped(),
        }
    }

    /// Writes lines that were never finished, gives a daemon a moment to take what waits for it, and says how many lines
    /// were lost.
    pub async fn close(mut self) -> u64 {
        let at_ns = calendar::now_ns();
        for (stream, lines) in [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)] {
            lines.finish(|text, whole| {
                let line = Line { stream, at_ns, text, whole };
                match &mut self.driver {
                    Driver::None => {}
                    Driver::File(file) => file.line(&line),
                    Driver::Remote(remote) => remote.line(&line),
                }
            });
        }
        match self.driver {
            Driver::None => 0,
            Driver::File(mut file) => {
                file.commit();
                file.dropped()
            }
            Driver::Remote(remote) => remote.close().await,
        }
    }
}

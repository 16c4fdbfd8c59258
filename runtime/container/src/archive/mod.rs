//! Files into and out of a root file system: what `cp`, `export` and `commit` are made of.
//!
//! Everything works on the descriptor of a directory that is the container's root, and no path of the container leads
//! out of it: openat2 resolves them in the root, links of an archive are made but never followed by us outside, and
//! what is read is opened as a place first, so that a FIFO, a device or a socket is never opened at all.
//!
//! The same code serves the host (containers that are stopped or run as processes), the guest (through the agent) and the
//! host's own side of a copy, where the root is the destination. [`process`] runs it beside the event loop of a
//! supervisor or agent, which has one thread.
//!
//! Refused: entries that would leave the root, trees deeper than 256 directories, directories of more than a million
//! names.

mod layer;
mod open;
mod options;
mod pack;
pub mod process;
mod resolve;
mod stat;
mod unpack;
mod volumes;

use serde::{Deserialize, Serialize};

pub use self::options::{Owner, Rename, Unpack};
pub use self::pack::{pack, pack_layer, pack_tree};
pub use self::resolve::base_name;
pub use self::stat::{PathStat, stat};
pub use self::unpack::unpack;
pub use self::volumes::Volumes;

/// What can be asked of [`process::spawn`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archive {
    /// [`stat`]; its answer is JSON on the output.
    Stat { path: String },
    /// [`pack`] to the output.
    Pack { path: String, follow: bool },
    /// [`unpack`] from the input.
    Unpack { path: String, options: Unpack },
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveError {
    #[error("{path}: no such file or directory")]
    Missing { path: String },
    #[error("{path}: not a directory")]
    NotADirectory { path: String },
    #[error("container rootfs is marked read-only")]
    ReadOnlyRoot,
    #[error("mounted volume is marked read-only")]
    ReadOnlyVolume,
    /// Whoever was to read the archive does not read on.
    #[error("the reader of the archive is gone")]
    Closed,
    /// A text for the user.
    #[error("{0}")]
    Failed(String),
}

impl ArchiveError {
    /// Reads what [`process::spawn`]'s process left on its error stream. It may come from a guest, so nothing of it is
    /// trusted to be well-formed.
    pub fn of_report(report: &[u8]) -> Self {
        let clean = |text: &str| shown(text.as_bytes());
        match serde_json::from_slice(report) {
            Ok(Self::Missing { path }) => Self::Missing { path: clean(&path) },
            Ok(Self::NotADirectory { path }) => Self::NotADirectory { path: clean(&path) },
            Ok(Self::Failed(text)) => Self::Failed(clean(&text)),
            Ok(error) => error,
            Err(_) if report.is_empty() => Self::Failed("the copy was ended".to_owned()),
            Err(_) => Self::Failed(shown(report)),
        }
    }

    fn failed(what: &str, path: &[u8], error: impl Into<std::io::Error>) -> Self {
        let error: std::io::Error = error.into();
        let text = error.raw_os_error().map_or_else(|| error.to_string(), crate::error::errno_text);
        Self::Failed(format!("{what} {}: {text}", shown(path)))
    }

    fn refused(path: &[u8], why: &str) -> Self {
        Self::Failed(format!("{} {why}", shown(path)))
    }
}

/// A path for people: of bounded length, without control characters.
fn shown(path: &[u8]) -> String {
    const MOST: usize = 1024;
    let text: String =
        String::from_utf8_lossy(path).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests;

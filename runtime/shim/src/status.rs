//! `status.json`: what the supervisor knows, for whoever asks without it.
//!
//! While it lives the file is in the run directory; its last word is in the container's directory, for the engine to
//! fold into its state even after the host has been started anew.

use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::wire::Exit;

/// Name of the file.
pub const FILE: &str = "status.json";
/// It is never larger, bytes.
const MAX: u64 = 256 << 10;

/// What a supervised container does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its process is being made.
    #[default]
    Starting,
    Running,
    Paused,
    /// It has ended and is about to be started again.
    Restarting,
    /// It has ended for good.
    Exited,
}

/// Docker's words for what health checks found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It has not been healthy yet, and nothing says that it will not be.
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Starting => "starting",
            Verdict::Healthy => "healthy",
            Verdict::Unhealthy => "unhealthy",
        }
    }
}

/// The state of the health checks, with the last of them, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    pub verdict: Verdict,
    /// Failures in a row.
    pub failing_streak: u32,
    pub log: Vec<Probe>,
}

/// One health check. Times are nanoseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub start_ns: i64,
    pub end_ns: i64,
    /// 0: healthy; -1: it could not be run, or took too long.
    pub exit_code: i32,
    /// The beginning of what it said.
    pub output: String,
}

/// See the module. Times are nanoseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub phase: Phase,
    /// Of the init, in the namespace of whoever runs it; 0 when there is none.
    pub pid: i32,
    /// Of the supervisor.
    pub supervisor: u32,
    pub started_ns: Option<i64>,
    pub finished_ns: Option<i64>,
    /// How it ended the last time.
    pub exit: Option<Exit>,
    /// How often it was started again by its restart policy.
    pub restarts: u32,
    /// Somebody stopped it: the restart policy does not apply.
    pub stopped: bool,
    /// What its health checks found; None without them.
    pub health: Option<Health>,
    /// It was stopped to be started anew: `--rm` does not apply to this end.
    pub keep: bool,
}

/// Replaces the file in `directory` in one step, so that a reader sees a whole one or none.
///
/// # Errors
/// Of writing and renaming.
pub fn write(directory: &Path, status: &Status) -> io::Result<()> {
    let new = directory.join("status.json.new");
    std::fs::write(&new, serde_json::to_vec(status)?)?;
    std::fs::rename(new, directory.join(FILE))
}

/// Reads the file in `directory`, if there is one.
///
/// # Errors
/// Of opening and reading; `InvalidData` for what is not a status.
pub fn read(directory: &Path) -> io::Result<Option<Status>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(directory.join(FILE), flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    file.take(MAX).read_to_end(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), None);
        for restarts in [1, 42] {
            write(directory.path(), &Status { restarts, ..Status::default() }).unwrap();
        }
        assert_eq!(read(directory.path()).unwrap().unwrap().restarts, 42);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_another_version_wrote_is_read_and_nonsense_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        std::fs::write(&file, r#"{"phase":"running","pid":7,"news":[1]}"#).unwrap();
        let status = read(directory.path()).unwrap().unwrap();
        assert_eq!((status.phase, status.pid, status.exit), (Phase::Running, 7, None));
        std::fs::write(&file, "nonsense").unwrap();
        assert!(read(directory.path()).is_err());
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        assert!(read(directory.path()).is_err(), "a link is not followed");
    }
}

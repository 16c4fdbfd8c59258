//! What can go wrong, told so that a user can act on it.
//!
//! The same type crosses the process boundary: what fails in the child between clone and exec is
//! sent to the parent as JSON over the control socket, code and text unchanged.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// Exit status for "the command was found but cannot be run".
pub const EXIT_CANNOT_EXECUTE: u8 = 126;
/// Exit status for "the command was not found".
pub const EXIT_NOT_FOUND: u8 = 127;
/// Exit status for every failure of ours before the command runs.
pub const EXIT_ENGINE: u8 = 125;

/// An error of the container core.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// A system call failed. `doing` says what was tried and on what.
    #[error("{doing}: {}", errno_text(*errno))]
    System {
        /// What was tried, on what: "mount proc on /proc".
        doing: String,
        /// The kernel's error number.
        errno: i32,
    },
    /// The OCI spec asks for something that is malformed or contradicts itself.
    #[error("invalid container specification: {0}")]
    Spec(String),
    /// The image's files or the rootfs try something that is refused (a link that leads out, a
    /// special file where a directory has to be).
    #[error("refused: {0}")]
    Refused(String),
    /// A limit was asked for whose controller is not available in the cgroup v2 tree.
    #[error(
        "cannot set {limit}: the cgroup v2 controller \"{controller}\" is not available in {path}; {remedy}"
    )]
    Controller {
        /// The limit as the spec names it: "memory.limit".
        limit: String,
        /// The controller that would carry it.
        controller: String,
        /// The directory where it is missing.
        path: String,
        /// What to do.
        remedy: String,
    },
    /// Something this kernel or this host does not offer.
    #[error("{feature} is not available on this host: {reason}")]
    Unavailable {
        /// What was asked for.
        feature: String,
        /// Why it is missing and what to do.
        reason: String,
    },
    /// The user or group of the process is not in the image's files; Docker's words.
    #[error("{0}")]
    User(String),
    /// The command cannot be executed. Docker's words: `exec: "foo": executable file not found in $PATH`.
    #[error("exec: \"{command}\": {reason}")]
    Exec {
        /// The command as asked for.
        command: String,
        /// Why not.
        reason: String,
        /// 126 or 127.
        code: u8,
    },
    /// The init process ended before it was ready.
    #[error("container init ended before the command ran: {0}")]
    InitDied(String),
    /// The operation does not fit the container's state ("container is not running").
    #[error("{0}")]
    State(String),
    /// A hook of the spec failed.
    #[error("hook {path} ({kind}): {reason}")]
    Hook {
        /// createRuntime, poststop, ...
        kind: String,
        /// The hook's program.
        path: String,
        /// Exit status, timeout or cause.
        reason: String,
    },
}

impl Error {
    /// The exit status of a command line that failed with this error:
    /// 126 cannot execute, 127 not found, else 125.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Exec { code, .. } => *code,
            _ => EXIT_ENGINE,
        }
    }

    /// The kernel's error number where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::System { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    pub(crate) fn spec(text: impl Into<String>) -> Self {
        Error::Spec(text.into())
    }
}

/// Adds what was being done to a bare error number.
pub(crate) trait Context<T> {
    fn context<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T, Error>;
}

impl<T> Context<T> for Result<T, rustix::io::Errno> {
    fn context<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T, Error> {
        self.map_err(|errno| Error::System { doing: doing().to_string(), errno: errno.raw_os_error() })
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn context<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T, Error> {
        self.map_err(|error| Error::System {
            doing: doing().to_string(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        })
    }
}

/// The kernel's words for an error number, in the lower case that Go programs and so container
/// users know: "no such file or directory".
pub(crate) fn errno_text(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or("unknown error");
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !text.starts_with("RPC") => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_codes() {
        let error = Error::Exec {
            command: "foo".into(),
            reason: "executable file not found in $PATH".into(),
            code: 127,
        };
        assert_eq!(error.to_string(), "exec: \"foo\": executable file not found in $PATH");
        assert_eq!(error.exit_code(), 127);
        let error: Error =
            Err::<(), _>(rustix::io::Errno::NOENT).context(|| "mount proc on /proc").expect_err("an error");
        assert_eq!(error.to_string(), "mount proc on /proc: no such file or directory");
        assert_eq!((error.exit_code(), error.errno()), (125, Some(libc::ENOENT)));
    }

    #[test]
    fn errors_survive_the_process_boundary() {
        let error = Error::Controller {
            limit: "memory.limit".into(),
            controller: "memory".into(),
            path: "/sys/fs/cgroup".into(),
            remedy: "boot with systemd.unified_cgroup_hierarchy=1".into(),
        };
        let text = serde_json::to_string(&error).expect("serialises");
        assert_eq!(serde_json::from_str::<Error>(&text).expect("parses"), error);
    }
}

//! The frames between a client (the command, later the API server) and the supervisor.
//!
//! `type: u8`, `length: u32` little endian, then that many bytes; at most [`MAX_FRAME`].
//! Data frames carry raw bytes, the others JSON. The same frames serve the primary client
//! of a foreground run and, on `<run>/<id>/shim.sock`, everybody who attaches or asks later.
//!
//! Stdin has a window, so that a container that does not read cannot hold up the signals behind its
//! input: a client sends at most [`STDIN_WINDOW`] bytes of [`STDIN`] ahead of what [`STDIN_CREDIT`] frames gave
//! back. [`crate::client`] does that; a client that does not is disconnected.

use oci_spec::runtime as oci;
use sandbox_container::Processes;
use sandbox_container::archive::Archive;
use serde::{Deserialize, Serialize};

use crate::isolation::{Figures, Update};
use crate::plan::Restart;

/// Largest payload, bytes.
pub const MAX_FRAME: usize = 1 << 20;
/// Bytes of stdin that a client may have sent and the container not yet taken.
pub const STDIN_WINDOW: usize = 256 << 10;
/// Bytes before the payload: type and length.
pub const HEADER: usize = 5;

/// Bytes of stdin, client to shim; an empty frame is end of file.
pub const STDIN: u8 = 0;
/// Bytes of the container's stdout (or terminal); an empty frame is end of file.
pub const STDOUT: u8 = 1;
/// Bytes of the container's stderr; an empty frame is end of file.
pub const STDERR: u8 = 2;
/// Shim to client: `u32` little endian, bytes of stdin that the container took; the client may send as many more.
pub const STDIN_CREDIT: u8 = 3;
/// A [`Request`], client to shim.
pub const REQUEST: u8 = 16;
/// A [`Notice`], shim to client.
pub const NOTICE: u8 = 17;

/// From a client. The primary client of a start attaches without asking; on the socket the first request says what
/// the connection is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// New terminal size, of the container or of the process that this connection executes.
    Resize { rows: u16, cols: u16 },
    /// Send a signal to the container's init, or to the process that this connection executes.
    Signal { signal: i32 },
    /// Leave; the container goes on.
    Detach,
    /// First: take part in the container's streams. Answered with [`Notice::Done`] before any of them.
    Attach(Attach),
    /// First: run another process in the container, whose streams this connection carries.
    Exec(Box<Exec>),
    /// First: send the stop signal (`signal` or the container's own), after `timeout_s` (or the container's own; negative:
    /// never) SIGKILL. Answered when the container has ended, and it is not restarted. With `keep`, `--rm` does not apply.
    Stop {
        signal: Option<i32>,
        timeout_s: Option<i64>,
        #[serde(default)]
        keep: bool,
    },
    /// First: send a signal to the container's init; one that asks it to end keeps it from being restarted.
    Kill { signal: i32 },
    /// First: stop every process where it is.
    Pause,
    /// First: let them go on.
    Resume,
    /// First: change its limits.
    Update(Box<Update>),
    /// First: what happens after its end from now on.
    Policy { restart: Restart },
    /// First: list its processes. Answered with any number of [`Notice::Processes`] and [`Notice::Done`].
    Processes,
    /// First: what it uses.
    Stats,
    /// First: copy files into or out of the container, over the streams of this connection as [`Request::Exec`] has them;
    /// `id` as there.
    Archive { id: String, archive: Archive },
    /// First: what its processes wrote so far reaches the host's files.
    Sync,
    /// First: its root file system on this host, as a descriptor that comes with [`Notice::Done`].
    Root,
    /// First: answered with [`Notice::Exited`] when it ends the next time.
    Wait,
}

/// Which streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attach {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// Another process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exec {
    /// 64 hex digits, not in use.
    pub id: String,
    /// `user` in it is filled in from the next two.
    pub process: oci::Process,
    /// Docker's `USER[:GROUP]`; empty: the container's.
    pub user: String,
    pub extra_groups: Vec<String>,
    /// Rows and columns of its terminal, if it has one.
    pub terminal: Option<(u16, u16)>,
    /// Its stdin is a stream; otherwise `/dev/null`.
    pub stdin: bool,
    /// Nobody wants its output; the connection ends when it has started.
    pub detach: bool,
}

/// From the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// The user process runs.
    Started { pid: i32 },
    /// It does not; `exit_code` is 125, 126 or 127.
    StartFailed { message: String, exit_code: u8 },
    /// The [`Notice::Exited`] that follows is not the end: the container will be started again.
    Restarting,
    /// The user process ended and all its output was delivered.
    Exited(Exit),
    /// Sent last, after clean-up: the stamps of this run, in order.
    Timings { stamps: Vec<Stamp> },
    /// What was asked for is done.
    Done,
    /// What was asked for is not done.
    Failed { message: String, exit_code: u8 },
    /// The answer to [`Request::Stats`].
    Stats(Box<Figures>),
    /// Some of the processes.
    Processes(Processes),
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 0-255; 128+n for signal n.
    pub code: u8,
    #[serde(default)]
    pub oom_killed: bool,
    /// Set when the container ended for a reason of its surroundings (the VM died, ...).
    #[serde(default)]
    pub error: Option<String>,
}

/// One phase of a start, CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stamp {
    pub name: String,
    pub at_ns: u64,
}

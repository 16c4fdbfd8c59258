//! The frames between a client (the command, later the API server) and the supervisor.
//!
//! `type: u8`, `length: u32` little endian, then that many bytes; at most [`MAX_FRAME`].
//! Data frames carry raw bytes, the others JSON. The same frames serve the primary client
//! of a foreground run and, on `<run>/<id>/shim.sock`, everybody who attaches or asks later.
//!
//! Stdin has a window, so that a container that does not read cannot hold up the signals behind its
//! input: a client sends at most [`STDIN_WINDOW`] bytes of [`STDIN`] ahead of what [`STDIN_CREDIT`] frames gave
//! back. [`crate::client`] does that; a client that does not is disconnected.

use serde::{Deserialize, Serialize};

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

/// From a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// New terminal size.
    Resize { rows: u16, cols: u16 },
    /// Send a signal to the container's init.
    Signal { signal: i32 },
    /// Leave; the container goes on.
    Detach,
}

/// From the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// The user process runs.
    Started { pid: i32 },
    /// It does not; `exit_code` is 125, 126 or 127.
    StartFailed { message: String, exit_code: u8 },
    /// The user process ended and all its output was delivered.
    Exited(Exit),
    /// Sent last, after clean-up: the stamps of this run, in order.
    Timings { stamps: Vec<Stamp> },
}

/// How the container ended; also the content of `status.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 0-255; 128+n for signal n.
    pub code: u8,
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

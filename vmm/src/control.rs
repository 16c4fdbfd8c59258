//! The messages between the monitor and whoever started it: one JSON value per `SOCK_SEQPACKET` packet.
//!
//! The first packet is a [`crate::config::VmConfig`]; after it come [`Command`]s one way and [`Event`]s the other.

use serde::{Deserialize, Serialize};

/// Largest packet in either direction, bytes.
pub const MAX_PACKET: usize = 64 * 1024;

/// From the owner to the monitor. End of file means [`Command::Stop`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Command {
    /// The guest is up: the boot deadline no longer applies.
    Booted,
    /// Stop the machine now, as if power were cut.
    Stop,
    /// Freeze all vCPUs; answered by [`Event::Paused`] when not one of them runs. Stops the boot deadline's clock, too.
    Pause,
    /// Let them run again; answered by [`Event::Resumed`].
    Resume,
    /// Take memory from the guest, or give it back, until the balloon holds `mib` MiB, which is at most all of its RAM;
    /// answered by [`Event::Balloon`] at once, and once more when the guest has followed, if it does.
    Balloon { mib: u64 },
}

/// From the monitor to its owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The machine could not be built.
    Failed { error: String },
    /// First `KVM_RUN`, CLOCK_MONOTONIC nanoseconds.
    Started { at_ns: u64 },
    /// No vCPU runs until [`Command::Resume`].
    Paused,
    /// The vCPUs run again.
    Resumed,
    /// How large the balloon shall be and how large the guest says it is, MiB.
    Balloon { target_mib: u64, actual_mib: u64 },
    /// The machine has stopped; the process exits after this.
    Exited { reason: ExitReason, console_tail: String },
}

/// Why a machine stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// The owner asked for it or went away.
    Stopped,
    /// The guest reset itself (port 0x64, or a reset event).
    Reset,
    /// Triple fault or KVM_EXIT_SHUTDOWN.
    Shutdown,
    /// All vCPUs halted for good.
    Halt,
    /// The boot deadline passed.
    Deadline,
    /// KVM or a device failed.
    Error(String),
}

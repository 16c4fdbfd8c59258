//! What the host and the agent in the guest say to each other.
//!
//! Frames ([`frame`]) are a `u32` little endian length and a prost message ([`Request`] one way, [`Hello`]
//! and then [`Message`] the other). Fields are numbered and optional by nature, so that a host and a
//! restored guest of another version still understand each other. [`FdStream`] is what both ends move
//! standard streams with.
//!
//! Both sides treat the other as hostile: every frame has a limit, and nothing is allocated for bytes
//! that have not arrived. Refuses longer and malformed frames.

mod archive;
pub mod fd_stream;
pub mod frame;
mod messages;
mod top;

pub use archive::Archive;
pub use fd_stream::FdStream;
pub use messages::*;
pub use top::*;

/// Version of the protocol, in [`Hello`]. Grows when an old peer would misunderstand a message.
pub const VERSION: u32 = 1;
/// The agent connects here (host, CID 2) as soon as it runs: the ready event, then the control channel.
pub const CONTROL_PORT: u32 = 1024;
/// The agent connects here once per stdio stream and sends a [`StreamHeader`] first.
pub const STREAM_PORT: u32 = 1025;
/// Largest frame to the agent, bytes: an OCI spec and some.
pub const MAX_FRAME: usize = 4 << 20;
/// Largest frame from the agent, bytes; its longest are pages of processes.
pub const MAX_ANSWER: usize = 64 << 10;
/// Largest frame on a stream connection, bytes: its only one is the [`StreamHeader`].
pub const MAX_STREAM_HEADER: usize = 64;
/// Length of a stream token, bytes.
pub const TOKEN: usize = 16;

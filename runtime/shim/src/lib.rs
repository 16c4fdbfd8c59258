//! The supervisor of one container: streams, exit status, clean-up. See ARCHITECTURE.md.
//!
//! Three things for others: the [`plan`] that the engine writes, the frames ([`wire`], [`frame`]) with the client's side
//! of them ([`client`]), and the [`supervisor`] itself, which knows containers through the trait
//! [`isolation::Isolation`] only.

pub mod calendar;
mod cgroup;
pub mod client;
pub mod events;
pub mod frame;
pub mod isolation;
pub mod log;
pub mod plan;
pub mod program;
pub mod rootfs;
pub mod stamps;
pub mod status;
pub mod supervisor;
mod user;
pub mod wire;

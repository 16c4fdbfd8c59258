//! The supervisor of one container: streams, exit status, clean-up. See ARCHITECTURE.md.

pub mod client;
pub mod frame;
pub mod plan;
pub mod wire;

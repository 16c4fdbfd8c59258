//! What the whole-program tests share: the command under test, its data, a terminal, the host's state.
//!
//! Panics when something is missing: these are tests, and `cargo xtask e2e` provides everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod command;
mod container;
mod host;
mod process;
pub mod registry;
mod terminal;

pub use command::{Output, Running, Sandbox, env, fixture, scratch};
pub use container::{Container, LIMIT, make, sandbox, until};
pub use host::{HostState, has_controller};
pub use process::OurProcess;
pub use terminal::Terminal;

/// Where a container runs. Every test of the lifecycle takes it as a parameter and expects the same of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    Process,
    Vm,
}

impl Isolation {
    /// The value of `--isolation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Vm => "vm",
        }
    }
}

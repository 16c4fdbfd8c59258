//! The engine: containers and their state, from a request to a running supervisor. See ARCHITECTURE.md.
//!
//! Every front end is a thin layer over it: the command now, the API later. There is no daemon: a
//! [`crate::state`] shared by all commands, a lock per container that its owner holds, and reclaim of whatever has no
//! owner any more.

mod access;
pub mod archive;
mod cgroup;
mod check;
mod clock;
mod commit;
mod config;
mod diff;
pub mod doctor;
mod engine;
mod error;
pub mod id;
pub mod image;
mod images;
mod installation;
pub mod isolation;
pub mod lock;
pub mod name;
pub mod parse;
mod paths;
mod reclaim;
mod remove;
pub mod request;
mod spawn;
pub mod spec;
pub mod state;
mod stopped;
mod usage;
mod volumes;

pub use archive::{Files, Hold, Supervisor};
pub use cgroup::Hierarchy;
pub use check::{Finding, Problem};
pub use clock::{monotonic_ns, realtime_ns};
pub use commit::Commit;
pub use config::{Config, DEFAULT_CONFIG};
pub use diff::{ChangeKind, FileChange};
pub use engine::{Created, Engine, Outcome, Running, Size};
pub use error::{Error, Result};
pub use images::{ImageFilter, Registries, prune_options};
pub use installation::Installation;
pub use isolation::Isolation;
pub use paths::{DEFAULT_ROOT, DEFAULT_RUN_ROOT, Paths};
pub use request::Request;
pub use sandbox_registry::{Found, Login, Logout};
pub use usage::{ContainerUsage, DiskUsage, VolumeUsage};

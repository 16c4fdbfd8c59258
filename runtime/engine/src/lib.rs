//! The engine: containers and their state, from a request to a running supervisor. See ARCHITECTURE.md.
//!
//! Every front end is a thin layer over it: the command now, the API later. There is no daemon: a
//! [`crate::state`] shared by all commands, a lock per container that its owner holds, and reclaim of whatever has no
//! owner any more.

mod boot;
mod cgroup;
mod check;
mod clock;
mod config;
mod create;
pub mod doctor;
mod engine;
mod error;
pub mod events;
mod exec;
pub mod health;
pub mod id;
pub mod image;
mod images;
mod installation;
pub mod isolation;
mod joins;
mod life;
mod live;
pub mod lock;
pub mod logs;
pub mod name;
pub mod parse;
mod paths;
mod recipe;
mod reclaim;
mod remove;
pub mod request;
mod rotated;
mod spawn;
pub mod spec;
mod start;
pub mod state;
pub mod top;
mod usage;
mod volumes;

pub use cgroup::Hierarchy;
pub use check::{Finding, Problem};
pub use clock::{monotonic_ns, realtime_ns};
pub use config::{Config, DEFAULT_CONFIG};
pub use create::{Made, REAP};
pub use engine::Engine;
pub use error::{Error, Result};
pub use exec::ExecRequest;
pub use images::{ImageFilter, Registries, prune_options};
pub use installation::Installation;
pub use isolation::Isolation;
pub use life::Stop;
pub use live::View;
pub use paths::{DEFAULT_ROOT, DEFAULT_RUN_ROOT, Paths};
pub use recipe::Recipe;
pub use request::Request;
pub use sandbox_registry::{Found, Login, Logout};
pub use start::{Manner, Outcome, Running, Size};
pub use usage::{ContainerUsage, DiskUsage, VolumeUsage};

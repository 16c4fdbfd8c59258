//! The container core: starts a process in namespaces of its own from an OCI runtime spec.
//!
//! It runs in two places: on the host inside the small supervisor (`--isolation=process`) and
//! inside the guest inside the agent (`--isolation=vm`). Both are single-threaded and static, so the
//! child may allocate between clone and exec. There are no threads and no async here; everything that
//! takes time hands out a descriptor to wait on ([`Container::pidfd`]).
//!
//! ```no_run
//! # fn main() -> Result<(), sandbox_container::Error> {
//! # let (spec, bundle) = (oci_spec::runtime::Spec::default(), std::path::Path::new("/bundle"));
//! use sandbox_container::{CreateOptions, create};
//! let mut container = create(CreateOptions::new("demo", &spec, bundle))?;
//! container.start()?; // Err(Exec) with 126 or 127 when the command cannot run
//! let status = container.wait()?;
//! container.delete()?;
//! # std::process::exit(status.code())
//! # }
//! ```
//!
//! It refuses what would weaken the walls: paths of the image are only ever followed beneath its root
//! by descriptor, sysctls that are not of a namespace the container owns are an error, limits that
//! cannot be kept are an error and never silently dropped.

pub mod archive;
mod cgroup;
mod container;
mod create;
pub mod defaults;
mod error;
mod exec;
mod hooks;
mod init;
mod limits;
mod options;
mod plan;
mod process;
mod processes;
mod sealed;
mod seccomp;
mod shared_memory;
mod spawn;
mod status;
mod sync;
mod sys;
mod text;
mod usage;
mod user;

pub use cgroup::{Cgroup, Freezing, Stats, available_controllers, mount_point as cgroup_mount_point};
pub use container::Container;
pub use create::create;
pub use error::{EXIT_CANNOT_EXECUTE, EXIT_ENGINE, EXIT_NOT_FOUND, Error};
pub use options::{CreateOptions, Gate, Stdio};
pub use process::Process;
pub use processes::{MAX_PROCESSES, ProcessInfo, Processes};
pub use sealed::open_sealed;
pub use shared_memory::shared_memory;
pub use status::{ContainerState, ExitStatus, Status};
pub use text::printable;
pub use usage::{InterfaceUsage, Usage};
pub use user::{User, resolve_user};

//! What the supervisor knows of where a container runs: it is started, has processes with streams, takes
//! signals and sizes, and is stopped. Everything else is below this trait, in [`process`] and [`vm`].

pub mod figures;
mod lenders;
pub mod process;
pub mod vm;

use std::os::fd::OwnedFd;

use oci_spec::runtime as oci;
use sandbox_container::Processes;
use sandbox_container::archive::Archive;
use sandbox_protocol::FdStream;
use tokio::sync::oneshot;

pub use self::figures::{Figures, Update};
use crate::plan::Plan;
use crate::stamps::Stamps;
use crate::wire::Exit;

/// A text for the user and the exit code of a command that failed with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub message: String,
    /// 125, 126 or 127 for what did not start.
    pub exit_code: u8,
}

impl Failure {
    /// A failure of ours, before or beside the container: exit code 125.
    pub fn engine(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: sandbox_container::EXIT_ENGINE }
    }
}

impl From<sandbox_container::Error> for Failure {
    fn from(error: sandbox_container::Error) -> Self {
        Self { message: error.to_string(), exit_code: error.exit_code() }
    }
}

/// What a container is started from.
#[derive(Debug)]
pub struct Start<'a> {
    pub plan: &'a Plan,
    /// The overlay, mounted but attached nowhere yet.
    pub rootfs: OwnedFd,
    pub stamps: &'a Stamps,
}

/// A way to run a container.
pub trait Isolation {
    type Running: Running;

    /// Starts the container's init. Dropping the future undoes what was done so far, and so does an error.
    ///
    /// # Errors
    /// A text for the user, with 125, 126 or 127.
    fn start(self, start: Start<'_>) -> impl Future<Output = Result<(Self::Running, Process), Failure>>;
}

/// A container that has been started, until [`Running::stop`].
pub trait Running {
    /// Starts another process in it.
    ///
    /// # Errors
    /// A text for the user, with 125, 126 or 127.
    fn exec(&self, request: Exec) -> impl Future<Output = Result<Process, Failure>>;

    /// Signals `process` (empty: the init). One that has ended is no error. In a paused container a signal that is caught
    /// waits for the end of the pause, and a SIGKILL of the init ends the container at once.
    ///
    /// # Errors
    /// A text for the user.
    fn signal(&self, process: &str, signal: i32) -> impl Future<Output = Result<(), Failure>>;

    /// Kills every process, by whatever means are left if the container does not cooperate.
    fn kill(&self) -> impl Future<Output = ()>;

    /// Sets the size of the terminal of `process` (empty: the init).
    ///
    /// # Errors
    /// A text for the user.
    fn resize(&self, process: &str, rows: u16, cols: u16) -> impl Future<Output = Result<(), Failure>>;

    /// Stops every process where it is, and returns when none runs any more.
    ///
    /// # Errors
    /// A text for the user; it runs on then. When it is paused already, too.
    fn pause(&self) -> impl Future<Output = Result<(), Failure>>;

    /// Lets them go on.
    ///
    /// # Errors
    /// A text for the user, also when it is not paused.
    fn resume(&self) -> impl Future<Output = Result<(), Failure>>;

    /// Changes its limits.
    ///
    /// # Errors
    /// A text for the user; some limits may have been changed.
    fn update(&self, update: &Update) -> impl Future<Output = Result<(), Failure>>;

    /// Its processes, as ps would know them on the machine that it runs on.
    ///
    /// # Errors
    /// A text for the user.
    fn processes(&self) -> impl Future<Output = Result<Processes, Failure>>;

    /// What it uses now.
    ///
    /// # Errors
    /// A text for the user.
    fn stats(&self) -> impl Future<Output = Result<Figures, Failure>>;

    /// Copies files into or out of it, in a process named `name` as one of [`Running::exec`]. How it failed is told on its
    /// error stream ([`sandbox_container::archive::ArchiveError::of_report`]).
    ///
    /// # Errors
    /// A text for the user.
    fn archive(&self, name: String, request: Archive) -> impl Future<Output = Result<Process, Failure>>;

    /// Everything that its processes wrote so far reaches the host's files.
    ///
    /// # Errors
    /// A text for the user.
    fn sync(&self) -> impl Future<Output = Result<(), Failure>>;

    /// Ends it and gives back what it holds. With `durable`, everything that its processes wrote has reached the
    /// host's files first.
    ///
    /// # Errors
    /// A text for the user; everything that could be given back was.
    fn stop(self, durable: bool) -> impl Future<Output = Result<(), Failure>>;
}

/// Another process for a running container.
#[derive(Debug)]
pub struct Exec {
    /// Names the process in later calls; not empty, and not in use.
    pub name: String,
    /// `user` in it is filled in from the next two.
    pub process: oci::Process,
    /// Docker's `USER[:GROUP]`.
    pub user: String,
    pub extra_groups: Vec<String>,
    pub stdio: Stdio,
}

/// What streams a process gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stdio {
    /// One terminal of this many rows and columns instead of pipes.
    pub terminal: Option<(u16, u16)>,
    /// Otherwise stdin is `/dev/null`.
    pub stdin: bool,
}

impl Stdio {
    /// What a plan asks for.
    pub fn of(plan: &Plan) -> Self {
        Self { terminal: plan.tty.then_some((plan.rows, plan.cols)), stdin: plan.open_stdin }
    }
}

/// A process in a container.
#[derive(Debug)]
pub struct Process {
    /// In the namespace of whoever runs it; for information.
    pub pid: i32,
    pub streams: Streams,
    /// How it ended, or that it will never be known (dropped sender).
    pub exited: oneshot::Receiver<Exit>,
}

/// Our ends of a process's streams. With a terminal, input and output are the same descriptor.
#[derive(Debug)]
pub struct Streams {
    /// Shut down and dropped at its end of file.
    pub input: Option<FdStream>,
    pub output: FdStream,
    /// None with a terminal.
    pub error: Option<FdStream>,
}

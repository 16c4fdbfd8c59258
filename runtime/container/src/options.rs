//! What a caller says besides the OCI spec.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

/// How to create a container. Build it with [`CreateOptions::new`] and set the fields that differ.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent choice of the caller")]
pub struct CreateOptions<'a> {
    /// Name of the container and of its cgroup: letters, digits, `_.-+`, no leading dot, at most 255 bytes.
    pub id: &'a str,
    /// The OCI spec. It is validated; nothing in it is trusted to be well-formed.
    pub spec: &'a Spec,
    /// The bundle directory: a relative `root.path` is resolved here, hooks learn it.
    pub bundle: &'a Path,
    /// The cgroup v2 directory below which the container's cgroup `<cgroup>/<id>` is made
    /// (missing directories are created). `None`: `linux.cgroupsPath` of the spec below the v2
    /// mount, and without one the container gets no cgroup of its own; asking for a limit is then an error.
    pub cgroup: Option<PathBuf>,
    /// The three streams of the container's process.
    pub stdio: Stdio,
    /// Kill the init when the creating thread dies (`PR_SET_PDEATHSIG`), so that a supervisor that is
    /// killed leaves no container behind.
    pub die_with_parent: bool,
    /// Run a minimal reaping init as PID 1 (`--init`): it forwards signals to the command, reaps
    /// orphans and ends with the command's status.
    pub init: bool,
    /// How `start` reaches the waiting init.
    pub gate: Gate,
    /// Descriptors 3..3+n stay open in the container's process (`--preserve-fds`, socket activation).
    pub preserve_fds: u32,
    /// Do not make a new session keyring (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// The kernel is the container's alone, a guest's: sysctls that belong to no namespace may be set, too.
    pub own_kernel: bool,
    /// Switch the root with MS_MOVE and chroot instead of pivot_root (`--no-pivot`). A root that is
    /// the initramfs is recognised without it.
    pub no_pivot: bool,
}

impl<'a> CreateOptions<'a> {
    /// Options with no cgroup parent, inherited streams and an in-process gate.
    pub fn new(id: &'a str, spec: &'a Spec, bundle: &'a Path) -> Self {
        CreateOptions {
            id,
            spec,
            bundle,
            cgroup: None,
            stdio: Stdio::Inherit,
            die_with_parent: false,
            init: false,
            gate: Gate::InProcess,
            preserve_fds: 0,
            no_new_keyring: false,
            own_kernel: false,
            no_pivot: false,
        }
    }
}

/// The streams of a process in the container.
#[derive(Debug)]
pub enum Stdio {
    /// Three descriptors; they become 0, 1 and 2.
    Pipes {
        /// `None`: /dev/null.
        stdin: Option<OwnedFd>,
        /// The write end of standard output.
        stdout: OwnedFd,
        /// The write end of standard error.
        stderr: OwnedFd,
    },
    /// A new pseudo-terminal of the container's own devpts; its master is
    /// [`crate::Container::terminal`] or [`crate::Process::terminal`].
    Terminal {
        /// Height in characters; 0 leaves it unset.
        rows: u16,
        /// Width in characters; 0 leaves it unset.
        cols: u16,
    },
    /// The caller's own 0, 1 and 2.
    Inherit,
    /// A new pseudo-terminal whose master is sent over this connected unix stream socket with
    /// SCM_RIGHTS (`--console-socket`). The size is `process.consoleSize` of the spec.
    ConsoleSocket(OwnedFd),
}

/// How the init waits between create and start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The creating process itself starts the container; when it ends before, the init ends too.
    InProcess,
    /// The init listens on a unix socket at this path (in a directory only root may enter), so that any
    /// later process can start the container through [`crate::Container::load`]. The socket
    /// carries the result of exec back, and is removed by start.
    Socket(PathBuf),
}

//! How a process ended and what a container looks like to another process.

use std::path::PathBuf;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code (0 to 255).
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl ExitStatus {
    /// The shell's convention: the code itself, or 128 + signal.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal(signal) => 128 + signal,
        }
    }
}

/// What a container is doing, in the words of the OCI runtime spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The init waits to be started.
    Created,
    /// The process runs.
    Running,
    /// Its cgroup is frozen.
    Paused,
    /// The process is gone (or a zombie nobody has waited for).
    Stopped,
}

/// Everything another process needs to take over a container: keep it in the state directory and hand
/// it to [`crate::Container::load`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// The container's id.
    pub id: String,
    /// PID of the init in the PID namespace of its creator.
    pub pid: i32,
    /// Start time of that process in clock ticks since boot (field 22 of /proc/PID/stat): a PID that was
    /// given to another process is recognised by it.
    pub start_time: u64,
    /// The bundle directory.
    pub bundle: PathBuf,
    /// The container's own cgroup directory; removed by delete.
    pub cgroup: Option<PathBuf>,
    /// Where the init waits for start; `None` when its creator has to start it.
    pub gate: Option<PathBuf>,
}

/// Start time of a process in clock ticks since boot: field 22 of /proc/PID/stat (proc_pid_stat(5)).
pub(crate) fn start_time(pid: Pid) -> Result<u64, Error> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let text = std::fs::read_to_string(&path).context(|| format!("read {path}"))?;
    // The second field is the name in brackets, which may itself contain brackets and blanks.
    let field = text.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(19)?.parse().ok());
    field.ok_or_else(|| Error::State(format!("{path} has no start time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_the_shell_has_them() {
        assert_eq!((ExitStatus::Code(42).code(), ExitStatus::Signal(9).code()), (42, 137));
    }

    #[test]
    fn our_own_start_time() {
        let time = start_time(rustix::process::getpid()).expect("a start time");
        let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("a process");
        let later = start_time(Pid::from_child(&child)).expect("a start time");
        child.kill().expect("killed");
        child.wait().expect("waited");
        assert!(time > 0 && later >= time);
    }
}

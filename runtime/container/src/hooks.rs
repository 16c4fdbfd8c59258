//! Hooks of the spec: programs that learn the container's state on their standard input.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use oci_spec::runtime::{Hook, Hooks};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::error::Error;

/// As much of a failed hook's standard error as goes into the message, in bytes.
const MAX_STDERR: usize = 4096;

/// The hooks that run in the child.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContainerHooks {
    /// Whether there are any that run before exec, in the runtime or in the child.
    pub(crate) any: bool,
    pub(crate) create_container: Vec<Hook>,
    pub(crate) start_container: Vec<Hook>,
}

impl ContainerHooks {
    pub(crate) fn new(hooks: Option<&Hooks>) -> Self {
        let Some(hooks) = hooks else { return ContainerHooks::default() };
        let list = |hooks: &Option<Vec<Hook>>| hooks.clone().unwrap_or_default();
        let (create_container, start_container) =
            (list(hooks.create_container()), list(hooks.start_container()));
        let in_runtime = prestart(hooks).len() + list(hooks.create_runtime()).len();
        ContainerHooks {
            any: in_runtime + create_container.len() + start_container.len() > 0,
            create_container,
            start_container,
        }
    }
}

/// The deprecated kind that Docker and others still write.
#[allow(deprecated)]
pub(crate) fn prestart(hooks: &Hooks) -> &[Hook] {
    hooks.prestart().as_deref().unwrap_or_default()
}

/// The state that hooks learn (runtime-spec, "State").
pub(crate) fn state_json(
    id: &str,
    status: &str,
    pid: i32,
    bundle: &Path,
    annotations: Option<&std::collections::HashMap<String, String>>,
) -> String {
    let mut state = serde_json::json!({
        "ociVersion": "1.2.1",
        "id": id,
        "status": status,
        "pid": pid,
        "bundle": bundle,
    });
    if let (Some(state), Some(annotations)) = (state.as_object_mut(), annotations) {
        state.insert("annotations".to_owned(), serde_json::json!(annotations));
    }
    state.to_string()
}

/// Runs hooks one after the other; the first that fails ends it.
pub(crate) fn run_all(kind: &str, hooks: &[Hook], state: &str) -> Result<(), Error> {
    hooks.iter().try_for_each(|hook| run(kind, hook, state))
}

fn run(kind: &str, hook: &Hook, state: &str) -> Result<(), Error> {
    let path = hook.path();
    let failure =
        |reason: String| Error::Hook { kind: kind.to_owned(), path: path.display().to_string(), reason };
    if !path.is_absolute() {
        return Err(failure("the path is not absolute".to_owned()));
    }
    let mut command = Command::new(path);
    if let Some((name, args)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(args);
    }
    command.env_clear();
    for entry in hook.env().iter().flatten() {
        if let Some((name, value)) = entry.split_once('=') {
            command.env(name, value);
        }
    }
    // A file and no pipe: what a hook leaves running in the background may keep it.
    let stderr = memfd_create("hook", MemfdFlags::CLOEXEC).map_err(|errno| failure(errno.to_string()))?;
    let output = stderr.try_clone().map_err(|error| failure(error.to_string()))?;
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(output);
    let mut child = command.spawn().map_err(|error| failure(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook that does not read its input is fine. The state is far smaller than a pipe.
        let _ = stdin.write_all(state.as_bytes());
    }
    let timeout = hook.timeout().filter(|timeout| *timeout > 0);
    if let Some(timeout) = timeout
        && !ends_within(child.id(), timeout).map_err(|error| failure(error.to_string()))?
    {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failure(format!("it took longer than its timeout of {timeout} s")));
    }
    let status = child.wait().map_err(|error| failure(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    Err(failure(format!("{status}; stderr: {}", first_bytes(stderr).trim())))
}

/// Waits for the process to end, at most `timeout` seconds.
fn ends_within(pid: u32, timeout: i64) -> Result<bool, rustix::io::Errno> {
    let pid = rustix::process::Pid::from_raw(pid as i32).ok_or(rustix::io::Errno::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = Timespec { tv_sec: timeout, tv_nsec: 0 };
    let ready =
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)))?;
    Ok(ready > 0)
}

fn first_bytes(file: OwnedFd) -> String {
    let mut text = vec![0; MAX_STDERR];
    let count = File::from(file).read_at(&mut text, 0).unwrap_or(0);
    text.truncate(count);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::HookBuilder;

    use super::*;

    fn shell(script: &str, timeout: i64) -> Result<(), Error> {
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        let hook =
            HookBuilder::default().path("/bin/sh").args(args).timeout(timeout).build().expect("a hook");
        run_all("poststop", &[hook], &state_json("x", "stopped", 0, Path::new("/b"), None))
    }

    #[test]
    fn they_learn_the_state_and_may_fail() {
        shell("grep -q '\"status\":\"stopped\"'", 10).expect("it reads the state");
        shell("exit 0", 10).expect("it need not read");
        shell("sleep 5 & exit 0", 10).expect("it may leave something running");
        let error = shell("echo why >&2; exit 3", 10).expect_err("it fails").to_string();
        assert!(error.contains("exit status: 3") && error.contains("why"), "{error}");
        let error = shell("exec /usr/bin/sleep 1000", 1).expect_err("it hangs").to_string();
        assert!(error.contains("timeout of 1 s"), "{error}");
    }
}

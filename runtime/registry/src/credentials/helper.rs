//! Credential helpers: programs `docker-credential-NAME` that keep secrets in a keychain (docker-credential-helpers).
//!
//! The only programs that are run on behalf of a registry. Bounded: what they are called, what they print, and how long
//! they take, which includes the time that a person needs to unlock the keychain.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;
use serde_json::json;

use super::{Credential, CredentialsError, Result, TOKEN_USER};
use crate::text::printable;

const OUTPUT: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_mins(1);
const NAME: usize = 64;
/// What a helper prints when it knows nothing; its exit status says no more.
const NOT_FOUND: &str = "credentials not found";

/// Where helpers are found.
#[derive(Clone, Debug)]
pub(super) struct Helpers {
    /// None: in `$PATH`.
    directory: Option<PathBuf>,
    patience: Duration,
}

impl Default for Helpers {
    fn default() -> Self {
        Self { directory: None, patience: PATIENCE }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    username: String,
    secret: String,
}

impl Helpers {
    #[cfg(test)]
    pub(super) fn in_directory(directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()), patience: Duration::from_secs(2) }
    }

    pub(super) fn get(&self, name: &str, key: &str) -> Result<Option<Credential>> {
        let (status, output) = self.run(name, "get", key.as_bytes())?;
        if !status.success() {
            let said = printable(&String::from_utf8_lossy(&output), 200);
            if said.contains(NOT_FOUND) {
                return Ok(None);
            }
            return Err(failed(name, format!("get fails ({status}): {said}")));
        }
        // The parser's message could quote the secret.
        let Secret { username, secret } = serde_json::from_slice(&output)
            .map_err(|_| failed(name, "get prints no Username and Secret".to_owned()))?;
        Ok(match (username.as_str(), secret.as_str()) {
            (_, "") => None,
            (TOKEN_USER, _) => Some(Credential::Identity { token: secret }),
            _ => Some(Credential::Password { user: username, password: secret }),
        })
    }

    pub(super) fn store(&self, name: &str, key: &str, user: &str, secret: &str) -> Result<()> {
        let input = json!({ "ServerURL": key, "Username": user, "Secret": secret }).to_string();
        self.act(name, "store", input.as_bytes())
    }

    pub(super) fn erase(&self, name: &str, key: &str) -> Result<()> {
        self.act(name, "erase", key.as_bytes())
    }

    fn act(&self, name: &str, action: &str, input: &[u8]) -> Result<()> {
        let (status, output) = self.run(name, action, input)?;
        if status.success() {
            return Ok(());
        }
        let said = printable(&String::from_utf8_lossy(&output), 200);
        Err(failed(name, format!("{action} fails ({status}): {said}")))
    }

    fn run(&self, name: &str, action: &str, input: &[u8]) -> Result<(ExitStatus, Vec<u8>)> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.len() > NAME || !name.bytes().all(valid) {
            return Err(failed(&printable(name, NAME), "no helper is called that".to_owned()));
        }
        let program = PathBuf::from(format!("docker-credential-{name}"));
        let program = self.directory.as_ref().map_or(program.clone(), |directory| directory.join(program));
        run(&program, action, input, self.patience).map_err(|reason| failed(name, reason))
    }
}

fn failed(name: &str, reason: String) -> CredentialsError {
    CredentialsError::Helper { name: name.to_owned(), reason }
}

/// A child that does not outlive its purpose.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `program action`, with `input` for it to read; what it prints and how it ends.
fn run(
    program: &Path,
    action: &str,
    input: &[u8],
    patience: Duration,
) -> std::result::Result<(ExitStatus, Vec<u8>), String> {
    let deadline = Instant::now() + patience;
    let child = Command::new(program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let mut running = Running(child);
    let (stdin, stdout) = (running.0.stdin.take(), running.0.stdout.take());
    let input = input.to_owned();
    // These threads end with the pipes, at the latest when the child and its children are gone.
    std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let limit = OUTPUT as u64 + 1;
        let result = stdout.map(|stdout| stdout.take(limit).read_to_end(&mut output));
        sender.send(result.transpose().map(|_| output))
    });
    let too_long = || format!("it takes longer than {} seconds", patience.as_secs());
    let output = receiver
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .map_err(|_| too_long())?
        .map_err(|error| format!("cannot read what it prints: {error}"))?;
    if output.len() > OUTPUT {
        return Err(format!("it prints more than {} KiB", OUTPUT / 1024));
    }
    if !ends_before(&running.0, deadline)? {
        return Err(too_long());
    }
    let status = running.0.wait().map_err(|error| format!("cannot wait for it: {error}"))?;
    Ok((status, output))
}

fn ends_before(child: &Child, deadline: Instant) -> std::result::Result<bool, String> {
    let watch = |error| format!("cannot watch it: {error}");
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).map_err(watch)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut watched = [PollFd::new(&process, PollFlags::IN)];
        match rustix::event::poll(&mut watched, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(|ready| ready > 0).map_err(watch),
        }
    }
}

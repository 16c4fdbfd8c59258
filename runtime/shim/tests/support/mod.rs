//! A supervisor started as the engine starts it.

mod plan;

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use sandbox_shim::client::{self, Event, Receiver, Sender};
use sandbox_shim::plan::Plan;
use sandbox_shim::wire::{Exit, Notice, Stamp};
use tempfile::TempDir;

/// One supervised container.
pub(crate) struct Shim {
    pub(crate) child: Child,
    pub(crate) sender: Sender,
    pub(crate) receiver: Option<Receiver>,
    pub(crate) plan: Plan,
    /// Holds every file of the container.
    _directory: TempDir,
}

/// What a container said and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) started: bool,
    pub(crate) failed: Option<(String, u8)>,
    pub(crate) exit: Option<Exit>,
    pub(crate) stamps: Vec<Stamp>,
}

impl Outcome {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn code(&self) -> u8 {
        self.exit.as_ref().unwrap_or_else(|| panic!("no exit: {self:?}")).code
    }
}

/// Makes descriptor `number` the child's 3, and sees to it that 4, which would be a lock, is closed.
fn place_client(number: i32) -> std::io::Result<()> {
    // SAFETY: a plain system call on descriptors of this child.
    if unsafe { libc::dup2(number, 3) } != 3 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: as above; 3 may be the very number, with close-on-exec set.
    unsafe { libc::fcntl(3, libc::F_SETFD, 0) };
    // SAFETY: as above.
    unsafe { libc::close(4) };
    Ok(())
}

impl Shim {
    /// Starts a container that runs `arguments`, its plan changed by `change`.
    pub(crate) fn start(arguments: &[&str], change: impl FnOnce(&mut Plan)) -> Shim {
        // A tmpfs: the file system of the machine's own /tmp may not serve as an upper layer.
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut plan = plan::plan(directory.path(), arguments);
        change(&mut plan);
        let file = plan.run_dir.join("plan.json");
        fs::write(&file, serde_json::to_vec(&plan).unwrap()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-shim"));
        command.arg("--plan").arg(&file);
        let number = theirs.as_raw_fd();
        // SAFETY: `place_client` makes only system calls.
        unsafe { command.pre_exec(move || place_client(number)) };
        let child = command.spawn().unwrap();
        let (sender, receiver) = client::connect(ours).unwrap();
        Shim { child, sender, receiver: Some(receiver), plan, _directory: directory }
    }

    /// Receives until the supervisor is gone, or `until` says enough.
    pub(crate) fn receive(&mut self, outcome: &mut Outcome, mut until: impl FnMut(&Outcome) -> bool) {
        let receiver = self.receiver.as_mut().unwrap();
        while !until(outcome) {
            match receiver.receive().unwrap() {
                None => return,
                Some(Event::Stdout(bytes)) => outcome.stdout.extend_from_slice(bytes),
                Some(Event::Stderr(bytes)) => outcome.stderr.extend_from_slice(bytes),
                Some(Event::Notice(Notice::Started { .. })) => outcome.started = true,
                Some(Event::Notice(Notice::StartFailed { message, exit_code })) => {
                    outcome.failed = Some((message, exit_code));
                }
                Some(Event::Notice(Notice::Exited(exit))) => outcome.exit = Some(exit),
                Some(Event::Notice(Notice::Timings { stamps })) => outcome.stamps = stamps,
                Some(Event::Notice(other)) => panic!("{other:?}"),
            }
        }
    }

    /// Waits for the end and checks that nothing is left.
    pub(crate) fn finish(mut self) -> Outcome {
        let mut outcome = Outcome::default();
        self.receive(&mut outcome, |_| false);
        self.child.wait().unwrap();
        assert!(!self.plan.run_dir.exists(), "the run directory is left");
        assert!(self.plan.cgroup.as_ref().is_none_or(|cgroup| !cgroup.exists()), "the cgroup is left");
        outcome
    }
}

/// Runs `arguments` to the end without input.
pub(crate) fn run(arguments: &[&str], change: impl FnOnce(&mut Plan)) -> Outcome {
    let shim = Shim::start(arguments, change);
    let _ = shim.sender.close_stdin();
    shim.finish()
}

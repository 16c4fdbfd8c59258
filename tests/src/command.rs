//! Runs `sandbox` as a user would, against a data root that all tests of one run share.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::Isolation;

/// A data root with its run directory.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub root: PathBuf,
    pub run_root: PathBuf,
}

/// What a finished command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit status; 128+n if a signal ended the command itself.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Fails with everything the command said.
    #[track_caller]
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use)]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// A command that has been started.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    pub fn finish(self) -> Output {
        let out = self.0.wait_with_output().expect("wait");
        Output {
            code: out.status.code().unwrap_or_else(|| 128 + out.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        }
    }
}

impl Sandbox {
    /// The root that all tests share, with the fixture images loaded once.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Sandbox> = OnceLock::new();
        SHARED.get_or_init(|| {
            let sandbox = Self::at(&scratch().join("shared"));
            for image in ["alpine.tar", "python.tar", "debian.tar"] {
                sandbox.sandbox(["load", "-q", "-i", &fixture(image)]).expect_code(0);
            }
            sandbox
        })
    }

    /// A root of its own, without images.
    pub fn at(base: &Path) -> Self {
        std::fs::create_dir_all(base).expect("scratch");
        Self { root: base.join("root"), run_root: base.join("run") }
    }

    /// The command with its roots set and nothing else.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env("SANDBOX_BIN"));
        command.arg("--root").arg(&self.root).arg("--run-root").arg(&self.run_root);
        // Twenty guests at once on two emulated CPUs take minutes to boot.
        command.env("SANDBOX_VM_BOOT_DEADLINE_MS", "300000");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Any `sandbox` command.
    pub fn sandbox<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        Running(self.command().args(args).spawn().expect("sandbox")).finish()
    }

    /// `sandbox run --rm --isolation=I ARGS`.
    pub fn run<S: AsRef<OsStr>>(&self, isolation: Isolation, args: impl IntoIterator<Item = S>) -> Output {
        self.start(isolation, args).finish()
    }

    /// The same, not waited for.
    pub fn start<S: AsRef<OsStr>>(&self, isolation: Isolation, args: impl IntoIterator<Item = S>) -> Running {
        Running(self.run_command(isolation).args(args).spawn().expect("sandbox"))
    }

    /// The same with stdin fed from `input`.
    pub fn run_with_input<S: AsRef<OsStr>>(
        &self,
        isolation: Isolation,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Output {
        let mut command = self.run_command(isolation);
        let mut child = command.args(args).stdin(Stdio::piped()).spawn().expect("sandbox");
        let mut stdin = child.stdin.take().expect("stdin");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // The container may end before it has read everything.
                let _ = stdin.write_all(input);
            });
            Running(child).finish()
        })
    }

    /// `sandbox run --rm --isolation=I`, to be added to.
    pub fn run_command(&self, isolation: Isolation) -> Command {
        let mut command = self.command();
        command.args(["run", "--rm", "--isolation", isolation.name()]);
        command
    }
}

/// A directory for this run of the tests on a file system that can carry an overlay's upper layer.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<tempfile::TempDir> = OnceLock::new();
    SCRATCH
        .get_or_init(|| {
            let base = Path::new("/var/lib/sandbox-lab");
            let base = if base.is_dir() { base } else { Path::new("/var/tmp") };
            tempfile::TempDir::new_in(base).expect("scratch directory")
        })
        .path()
}

/// Path of a test image made by tests/fixtures/fetch.
pub fn fixture(name: &str) -> String {
    format!("{}/{name}", env("SANDBOX_FIXTURES"))
}

/// A variable that `cargo xtask e2e` sets.
pub fn env(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; run these tests with `cargo xtask e2e`"))
}

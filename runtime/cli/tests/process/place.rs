//! A data root with the busybox image, and what is on the host because of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Of Debian's busybox-static.
const BUSYBOX: &str = "/bin/busybox";

pub(crate) struct Place {
    dir: tempfile::TempDir,
    libexec: PathBuf,
}

/// The supervisor is another package's program: it is built here, once, into the directory of ours.
fn supervisor() -> PathBuf {
    static BUILT: Once = Once::new();
    let dir = Path::new(env!("CARGO_BIN_EXE_sandbox")).parent().unwrap();
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "sandbox-shim"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the supervisor does not build");
    });
    dir.join("sandbox-shim")
}

impl Place {
    pub(crate) fn new() -> Place {
        // An overlay's upper layer cannot lie on an overlay, which /tmp may be; /var/tmp is on a disk.
        let dir = tempfile::TempDir::new_in("/var/tmp").unwrap();
        let libexec = dir.path().join("libexec");
        std::fs::create_dir(&libexec).unwrap();
        std::os::unix::fs::symlink(supervisor(), libexec.join("sandbox-shim")).unwrap();
        let image = std::fs::File::create(libexec.join("default-image.tar")).unwrap();
        sandbox_rootfs_builder::default_image::write(Path::new(BUSYBOX), 0, image)
            .expect("install busybox-static");
        Place { dir, libexec }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        command.env("SANDBOX_LIBEXEC", &self.libexec).env_remove("SANDBOX_ISOLATION");
        command
            .arg("--root")
            .arg(self.dir.path().join("root"))
            .arg("--run-root")
            .arg(self.dir.path().join("run"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `sandbox run --rm FLAGS localhost/busybox sh -c SCRIPT`.
    pub(crate) fn shell(&self, flags: &[&str], script: &str) -> Command {
        let arguments = [&["run", "--rm"], flags, &["localhost/busybox", "sh", "-c", script]].concat();
        self.command(&arguments)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts it and waits for its first line.
    pub(crate) fn started(&self, flags: &[&str], script: &str) -> Child {
        let mut child = self.shell(flags, &format!("echo up; {script}")).spawn().unwrap();
        let mut line = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(&line, b"up\n");
        child
    }

    /// What is left of containers: directories, run directories, cgroups, and processes that name this place.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for dir in ["root/containers", "run", "root/volumes"] {
            let entries = std::fs::read_dir(self.dir.path().join(dir)).into_iter().flatten().flatten();
            for entry in entries {
                let id = entry.file_name().to_string_lossy().into_owned();
                if id.starts_with("events.json") {
                    // News of them, kept within a bound.
                    continue;
                }
                left.extend(["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].iter().filter_map(|tree| {
                    let cgroup = Path::new(tree).join("sandbox").join(&id);
                    cgroup.exists().then(|| cgroup.display().to_string())
                }));
                left.push(entry.path().display().to_string());
            }
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let here = self.dir.path().to_str().unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(here)).map(str::to_owned));
        left.extend(self.supervisors().iter().map(|pid| format!("process {pid}")));
        left
    }

    pub(crate) fn supervisors(&self) -> Vec<i32> {
        let here = self.dir.path().to_str().unwrap();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("sandbox-shim") && line.contains(here)
        })
        .collect()
    }
}

/// Waits for what other processes do on their own, at most half a minute.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

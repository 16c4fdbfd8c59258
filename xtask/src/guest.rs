//! A machine whose KVM boots Linux: this one if it can, else the lab.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{paths, say};

/// Whether a microVM really boots here: tried, because a KVM that opens may still be unable to.
pub(crate) fn native_vm_works(dist: &Path) -> bool {
    let Ok(scratch) = tempdir() else { return false };
    let child = Command::new(dist.join("bin/sandbox"))
        .arg("--root")
        .arg(scratch.join("root"))
        .arg("--run-root")
        .arg(scratch.join("run"))
        .args(["run", "--rm", "--isolation=vm", "--network=none", "localhost/busybox", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let worked = child.is_ok_and(|child| wait_at_most(child, Duration::from_secs(15)));
    let _ = std::fs::remove_dir_all(&scratch);
    worked
}

/// Runs tests/lab with the given options and command; its exit status becomes ours.
pub(crate) fn lab(args: &[String]) -> Result<()> {
    let sh = Shell::new()?;
    sh.change_dir(paths::root());
    cmd!(sh, "tests/lab {args...}").quiet().run().context("the lab's command failed")
}

/// Says once which machine is used and why.
pub(crate) fn announce(native: bool) {
    if native {
        say("this machine's KVM boots Linux: running here");
    } else {
        say(
            "this machine's KVM cannot boot Linux: running in the lab, an emulated machine (10 to 30 times slower)",
        );
    }
}

fn wait_at_most(mut child: std::process::Child, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(_) => return false,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

fn tempdir() -> Result<std::path::PathBuf> {
    let dir = std::env::temp_dir().join(format!("sandbox-xtask-{}", std::process::id()));
    match std::fs::create_dir(&dir) {
        Ok(()) => Ok(dir),
        Err(error) => bail!("cannot make {}: {error}", dir.display()),
    }
}

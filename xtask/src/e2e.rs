//! The whole-program tests: built on this machine, run where VMs boot, all in one start of the lab.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{dist, guest, paths, say, suite};

/// Status of tests/lab when its own kernel or QEMU ended before the command: emulated nested virtualization does that
/// now and then. Says nothing about the tests, whose failures have another status.
const MACHINE_DIED: i32 = 125;
/// Starts of the lab at the most.
const TRIES: u32 = 3;

/// Test images, fetched once; the directory that holds them.
pub(crate) fn fixtures() -> Result<PathBuf> {
    say("test images");
    let sh = Shell::new()?;
    sh.change_dir(paths::root());
    cmd!(sh, "tests/fixtures/fetch").quiet().run().context("cannot fetch the test images")?;
    Ok(paths::cache().join("fixtures"))
}

/// Runs the tests whose names contain any of `filters` (all without filters); how many passed.
pub(crate) fn run(filters: &[String]) -> Result<u64> {
    let dist = dist::build()?;
    let fixtures = fixtures()?;
    let sh = Shell::new()?;
    sh.change_dir(paths::root());
    let program = test_binary(&sh)?;
    sh.set_var("SANDBOX_BIN", dist.join("bin/sandbox"));
    sh.set_var("SANDBOX_LIBEXEC", dist.join("libexec/sandbox"));
    sh.set_var("SANDBOX_FIXTURES", &fixtures);
    let native = guest::native_vm_works(&dist);
    guest::announce(native);
    say("whole-program tests");
    for _ in 1..TRIES {
        let (out, code) = tee(command(&sh, native, &program, filters))?;
        if native || code != MACHINE_DIED {
            return verdict(&out);
        }
        say("the emulated machine itself died: starting it once more");
    }
    let (out, _) = tee(command(&sh, native, &program, filters))?;
    verdict(&out)
}

/// The tests, here or in the lab.
fn command<'a>(sh: &'a Shell, native: bool, program: &Path, filters: &[String]) -> xshell::Cmd<'a> {
    if native {
        cmd!(sh, "tests/e2e-run {program} {filters...}").quiet()
    } else {
        cmd!(sh, "tests/lab -m 8192 -t 2700 -- tests/e2e-run {program} {filters...}").quiet()
    }
}

/// Runs a command, shows its output line by line as it comes, and returns it with the exit status.
fn tee(command: xshell::Cmd<'_>) -> Result<(String, i32)> {
    let mut child = std::process::Command::from(command).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("no pipe")?;
    let mut all = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        all.push_str(&line);
        all.push('\n');
    }
    let status = child.wait()?;
    Ok((all, status.code().unwrap_or(-1)))
}

/// The passed tests of all passes; an error if any failed or a pass has no result.
fn verdict(out: &str) -> Result<u64> {
    if !out.lines().any(|line| line == "all passes ended well") {
        bail!("whole-program tests failed; see above");
    }
    suite::count(out)
}

/// Builds `sandbox-tests` and asks cargo where the program is.
fn test_binary(sh: &Shell) -> Result<PathBuf> {
    let out = cmd!(sh, "cargo test --locked -p sandbox-tests --test e2e --no-run --message-format=json")
        .quiet()
        .read()?;
    let path = out
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "e2e")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    path.context("cargo named no test program")
}

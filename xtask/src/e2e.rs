//! The whole-program tests: built on this machine, run where VMs boot, all in one start of the lab.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{dist, guest, paths, registry, say, suite};

/// Status of tests/lab when its own kernel or QEMU ended before the command: emulated nested virtualization does that
/// now and then. Says nothing about the tests, whose failures have another status.
const MACHINE_DIED: i32 = 125;
/// Starts of the lab at the most, per pass.
const TRIES: u32 = 3;

/// One run of the test program.
struct Pass<'a> {
    /// For the test program.
    arguments: Vec<&'a str>,
    /// Of the lab's machine.
    cpus: &'a str,
}

/// Tests that compare the host before and after need it to themselves, so they get a pass of their own. In the lab that
/// pass has one CPU: they kill and start guests by the dozen, and with two CPUs QEMU's emulation of nested
/// virtualization then loses a guest in about one of 300 (a triple fault out of nothing).
fn passes(filters: &[String]) -> Vec<Pass<'_>> {
    if filters.is_empty() {
        return vec![
            Pass { arguments: vec!["--test-threads=2", "--skip", "crash::"], cpus: "2" },
            Pass { arguments: vec!["--test-threads=1", "crash::"], cpus: "1" },
        ];
    }
    let arguments = std::iter::once("--test-threads=1").chain(filters.iter().map(String::as_str)).collect();
    vec![Pass { arguments, cpus: "2" }]
}

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
    registry::prepare()?;
    let dist = dist::build()?;
    let fixtures = fixtures()?;
    let sh = Shell::new()?;
    sh.change_dir(paths::root());
    let program = test_binary(&sh, "e2e")?;
    sh.set_var("SANDBOX_BIN", dist.join("bin/sandbox"));
    sh.set_var("SANDBOX_LIBEXEC", dist.join("libexec/sandbox"));
    sh.set_var("SANDBOX_FIXTURES", &fixtures);
    let native = guest::native_vm_works(&dist);
    guest::announce(native);
    say("whole-program tests");
    let mut passed = 0;
    // All passes, so that one run tells of all failures.
    let mut failed = false;
    for pass in passes(filters) {
        let (out, code) = attempt(&sh, native, &program, &pass)?;
        failed |= code != 0;
        passed += if code == 0 { suite::count(&out)? } else { 0 };
    }
    if failed {
        bail!("whole-program tests failed; see above");
    }
    Ok(passed)
}

/// One pass, in the lab again if the lab itself dies.
fn attempt(sh: &Shell, native: bool, program: &Path, pass: &Pass<'_>) -> Result<(String, i32)> {
    let (arguments, cpus) = (&pass.arguments, pass.cpus);
    if native {
        return tee(cmd!(sh, "{program} {arguments...}").quiet());
    }
    let lab = || cmd!(sh, "tests/lab -c {cpus} -m 8192 -t 2700 -- {program} {arguments...}").quiet();
    for _ in 1..TRIES {
        let (out, code) = tee(lab())?;
        if code != MACHINE_DIED {
            return Ok((out, code));
        }
        say("the emulated machine itself died: starting it once more");
    }
    tee(lab())
}

/// Runs a command, shows its output line by line as it comes, and returns it with the exit status.
pub(crate) fn tee(command: xshell::Cmd<'_>) -> Result<(String, i32)> {
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

/// Builds `sandbox-tests` and asks cargo where the program is.
pub(crate) fn test_binary(sh: &Shell, name: &str) -> Result<PathBuf> {
    let out = cmd!(sh, "cargo test --locked -p sandbox-tests --test {name} --no-run --message-format=json")
        .quiet()
        .read()?;
    let path = out
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    path.context("cargo named no test program")
}

//! `make test`: formatting, lints, unit tests on this machine, whole-program tests where VMs boot.

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{apt, e2e, paths, registry, say};

/// Runs everything and closes with the line `N passed, 0 failed`.
pub(crate) fn run() -> Result<()> {
    apt::ensure(apt::BUILD)?;
    let sh = Shell::new()?;
    sh.change_dir(paths::root());
    say("formatting");
    cmd!(sh, "cargo fmt --all -- --check").quiet().run().context("run `cargo fmt --all`")?;
    say("lints");
    cmd!(sh, "cargo clippy --locked --workspace --all-targets --quiet -- -D warnings").quiet().run()?;
    say("unit tests");
    let tests = cmd!(sh, "tests/own-root cargo test --locked --workspace --exclude sandbox-tests --quiet");
    let (out, code) = e2e::tee(tests.quiet())?;
    if code != 0 {
        bail!("unit tests failed; see above");
    }
    let units = count(&out)?;
    let images = registry::run(&[])?;
    let whole = e2e::run(&[])?;
    println!("{} passed, 0 failed", units + images + whole);
    Ok(())
}

/// Adds up the `test result:` lines of all test programs.
pub(crate) fn count(out: &str) -> Result<u64> {
    let mut total = 0;
    for line in out.lines().filter(|line| line.starts_with("test result: ")) {
        let passed = line.split("; ").next().and_then(|part| part.split_whitespace().rev().nth(1));
        total += passed.and_then(|n| n.parse::<u64>().ok()).context("cannot read a test result")?;
    }
    if total == 0 {
        bail!("no test ran");
    }
    Ok(total)
}

//! `make demo`: the same image in both isolations, side by side.

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::{apt, dist, e2e, guest, paths, say};

/// Builds what is missing, then runs tests/demo where VMs boot.
pub(crate) fn run() -> Result<()> {
    apt::ensure(apt::BUILD)?;
    let dist = dist::build()?;
    let fixtures = e2e::fixtures()?;
    let sh = Shell::new()?;
    sh.change_dir(paths::root());
    sh.set_var("SANDBOX_BIN", dist.join("bin/sandbox"));
    sh.set_var("SANDBOX_FIXTURES", &fixtures);
    let native = guest::native_vm_works(&dist);
    guest::announce(native);
    let script = paths::root().join("tests/demo");
    ensure!(script.exists(), "{} is missing", script.display());
    if native {
        cmd!(sh, "{script}").quiet().run().context("the demo failed")?;
    } else {
        cmd!(sh, "tests/lab -t 300 -- {script}").quiet().run().context("the demo failed in the lab")?;
    }
    say("done; try: dist/bin/sandbox run --rm localhost/busybox echo hello");
    Ok(())
}

//! The tests of the image commands against a real registry, on this machine.

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

use crate::{apt, dist, e2e, paths, say, suite};

/// The registry, what speaks to it besides us, and what makes its passwords and certificates.
const NEEDS: &[apt::Need] = &[
    apt::Need { file: "/usr/bin/docker-registry", package: "docker-registry" },
    apt::Need { file: "/usr/bin/skopeo", package: "skopeo" },
    apt::Need { file: "/usr/bin/umoci", package: "umoci" },
    apt::Need { file: "/usr/bin/htpasswd", package: "apache2-utils" },
    apt::Need { file: "/usr/bin/openssl", package: "openssl" },
    apt::Need { file: "/usr/bin/python3", package: "python3" },
];

/// Installs what the tests need.
pub(crate) fn prepare() -> Result<()> {
    apt::ensure(NEEDS)
}

/// Runs the tests whose names contain any of `filters` (all without filters); how many passed.
pub(crate) fn run(filters: &[String]) -> Result<u64> {
    prepare()?;
    let dist = dist::build()?;
    let fixtures = e2e::fixtures()?;
    let sh = Shell::new()?;
    sh.change_dir(paths::root());
    let program = e2e::test_binary(&sh, "registry")?;
    sh.set_var("SANDBOX_BIN", dist.join("bin/sandbox"));
    sh.set_var("SANDBOX_LIBEXEC", dist.join("libexec/sandbox"));
    sh.set_var("SANDBOX_FIXTURES", &fixtures);
    say("tests against a registry");
    let (out, code) = e2e::tee(cmd!(sh, "{program} --test-threads=2 {filters...}").quiet())?;
    ensure!(code == 0, "tests against a registry failed; see above");
    suite::count(&out)
}

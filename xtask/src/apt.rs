//! Debian packages, installed only when something they provide is missing.

use std::path::Path;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::say;

/// One thing that a task needs: a file that shows it is there, and the package that brings it.
pub(crate) struct Need {
    pub(crate) file: &'static str,
    pub(crate) package: &'static str,
}

/// Linking static binaries and building SQLite and zstd.
pub(crate) const BUILD: &[Need] = &[
    Need { file: "/usr/bin/cc", package: "gcc" },
    Need { file: "/usr/lib/x86_64-linux-gnu/libc.a", package: "libc6-dev" },
    Need { file: "/bin/busybox", package: "busybox-static" },
];

/// Installs the packages whose file is missing.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> =
        needs.iter().filter(|n| !Path::new(n.file).exists()).map(|n| n.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing {}", missing.join(" ")));
    let sh = Shell::new()?;
    sh.set_var("DEBIAN_FRONTEND", "noninteractive");
    if !cmd!(sh, "id -u").read()?.trim().eq("0") {
        bail!("these Debian packages are missing: {}; install them or run as root", missing.join(" "));
    }
    cmd!(sh, "apt-get -qq update").run().context("cannot update apt's lists")?;
    cmd!(sh, "apt-get -qq -y --no-install-recommends install {missing...}")
        .ignore_stdout()
        .run()
        .context("cannot install packages")
}

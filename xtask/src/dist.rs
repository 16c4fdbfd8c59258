//! Builds `dist/`: the command, its helpers, the guest kernel, the initramfs and the default image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::{apt, paths, say};

/// Builds everything and returns `dist/`.
pub(crate) fn build() -> Result<PathBuf> {
    apt::ensure(apt::BUILD)?;
    let sh = Shell::new()?;
    sh.change_dir(paths::root());

    say("guest kernel");
    let kernel = kernel(&sh)?;

    say("binaries (release, static)");
    cmd!(
        sh,
        "cargo build --release --locked -p sandbox -p sandbox-shim -p sandbox-vmm -p sandbox-rootfs-builder"
    )
    .run()?;
    say("the guest's agent (small)");
    cmd!(sh, "cargo build --profile agent --locked -p sandbox-agent").run()?;

    let dist = paths::dist();
    let bin = dist.join("bin");
    let libexec = dist.join("libexec/sandbox");
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(&libexec)?;
    let target = paths::target("release");
    install(&target.join("sandbox"), &bin.join("sandbox"))?;
    for name in ["sandbox-shim", "sandbox-vmm"] {
        install(&target.join(name), &libexec.join(name))?;
    }
    install(&kernel, &libexec.join("vmlinux"))?;

    say("initramfs and default image");
    let builder = target.join("sandbox-rootfs-builder");
    let (agent, initramfs) = (paths::target("agent").join("sandbox-agent"), libexec.join("initramfs.cpio"));
    cmd!(sh, "{builder} initramfs --agent {agent} --output {initramfs}").run()?;
    let image = libexec.join("default-image.tar");
    cmd!(sh, "{builder} default-image --busybox /bin/busybox --output {image}").run()?;
    Ok(dist)
}

/// Path of the cached `vmlinux`, built if its inputs changed.
fn kernel(sh: &Shell) -> Result<PathBuf> {
    let out = cmd!(sh, "kernel-config/build").quiet().read().context("cannot build the guest kernel")?;
    let path = out.lines().last().context("kernel-config/build printed no path")?;
    Ok(PathBuf::from(path.trim()))
}

/// Copies through a temporary name, so that a running program's file is never written into.
fn install(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    fs::copy(from, &new).with_context(|| format!("cannot copy {} to {}", from.display(), new.display()))?;
    fs::rename(&new, to).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(())
}

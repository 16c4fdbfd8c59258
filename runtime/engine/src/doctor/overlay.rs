//! Whether overlayfs works on the data root: mounted there, detached, and written through.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

use super::Finding;
use crate::paths::Paths;
use crate::remove;

pub(super) fn examine(paths: &Paths) -> Finding {
    let dir = paths.root.join(format!("doctor.{}", std::process::id()));
    let result = attempt(&dir);
    // What stays behind is tiny, named, and no reason to call overlayfs broken.
    let _ = remove::tree(&dir);
    match result {
        Ok(()) => Finding::ok("overlay", format!("works on {}", paths.root.display())),
        Err((step, errno)) => {
            let remedy = match errno {
                Errno::NODEV => "this kernel has no overlayfs: modprobe overlay",
                Errno::PERM => "run as root",
                _ => {
                    "use a file system that can be an upper layer (ext4, xfs with ftype=1, btrfs, tmpfs) with --root"
                }
            };
            let why = std::io::Error::from(errno);
            Finding::fail("overlay", format!("on {}: {step}: {why}", paths.root.display()), remedy)
        }
    }
}

fn attempt(dir: &Path) -> Result<(), (&'static str, Errno)> {
    let made = ["", "lower", "upper", "work"]
        .iter()
        .try_for_each(|name| rustix::fs::mkdir(dir.join(name), Mode::RWXU));
    made.map_err(|e| ("make directories", e))?;
    let mount = mount(dir).map_err(|e| ("mount", e))?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&mount, "file", flags, Mode::RUSR).map_err(|e| ("create a file", e))?;
    rustix::io::write(&file, b"x").map_err(|e| ("write", e))?;
    Ok(())
}

fn mount(dir: &Path) -> Result<OwnedFd, Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, name) in [("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")] {
        fsconfig_set_string(context.as_fd(), key, dir.join(name))?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("root"), &dir.path().join("run")).unwrap();
        paths.prepare().unwrap();
        let finding = examine(&paths);
        assert!(matches!(finding.level, Level::Ok | Level::Fail));
        let left: Vec<_> = std::fs::read_dir(&paths.root).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|n| n.to_string_lossy().starts_with("doctor")), "{left:?}");
    }
}

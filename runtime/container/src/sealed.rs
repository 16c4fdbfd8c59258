//! Our own program as something that a container cannot write to.
//!
//! A process of ours that execs inside a container's reach shows its file at /proc/PID/exe, and whoever opened that while
//! it ran may write to it afterwards (CVE-2019-5736). The init is not dumpable until its exec and refuses to exec
//! itself; what closes the door for good, CAP_SYS_PTRACE containers and `#!/proc/self/exe` included, is
//! that the supervisor itself was started from the descriptor that this module makes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{Context, Error};
use crate::sys::mount::{ATTR_RDONLY, MountAttr, clone_tree, set_attr};

/// Opens the program at `path` through a read-only mount of its own that is attached nowhere: exec it with
/// execveat(2) and AT_EMPTY_PATH or as `/proc/self/fd/N`. Nothing is copied; the mount goes with its last user. The
/// descriptor is CLOEXEC.
///
/// # Errors
/// [`Error::System`] without CAP_SYS_ADMIN (EPERM) and for a path that cannot be opened.
pub fn open_sealed(path: &Path) -> Result<OwnedFd, Error> {
    let doing = || format!("seal {}", path.display());
    let mount = clone_tree(rustix::fs::CWD, path, false).context(doing)?;
    let attr = MountAttr { set: ATTR_RDONLY, propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    set_attr(mount.as_fd(), false, &attr).context(doing)?;
    // Opened anew, so that the mount ends with the program and not with this descriptor's flags.
    let opened = rustix::fs::open(
        format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&mount)),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    );
    opened.context(doing)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::process::Command;

    use super::*;

    #[test]
    fn it_runs_and_cannot_be_written() {
        let dir = tempfile::tempdir().expect("dir");
        let program = dir.path().join("program");
        std::fs::copy("/bin/true", &program).expect("copy");
        let sealed = open_sealed(&program).expect("sealed");
        let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
        assert!(Command::new(&path).status().expect("it runs").success());
        let error = std::fs::OpenOptions::new().write(true).open(&path).expect_err("read-only");
        assert_eq!(error.raw_os_error(), Some(libc::EROFS));
        std::fs::OpenOptions::new().write(true).open(&program).expect("the file itself is as it was");
    }
}

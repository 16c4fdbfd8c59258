//! AppArmor profile and SELinux label for the next exec, written through a procfs that the container cannot fake
//! (CVE-2025-52881).

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Context, Error};
use crate::plan::process::ProcessPlan;

/// Sets what the plan asks for. A host without the security module is an error: it was asked for.
pub(crate) fn set(proc: BorrowedFd<'_>, plan: &ProcessPlan) -> Result<(), Error> {
    if let Some(profile) = &plan.apparmor {
        write(proc, &["apparmor/exec", "exec"], &format!("exec {profile}"), "AppArmor", profile)?;
    }
    if let Some(label) = &plan.selinux {
        write(proc, &["selinux/exec", "exec"], label, "SELinux", label)?;
    }
    Ok(())
}

fn write(proc: BorrowedFd<'_>, files: &[&str], text: &str, module: &str, name: &str) -> Result<(), Error> {
    let thread = rustix::thread::gettid();
    for file in files {
        let path = format!("self/attr/{file}");
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
        let opened = rustix::fs::openat2(
            proc,
            path.as_str(),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        );
        match opened {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).context(|| format!("open /proc/{path} of {thread:?}")),
            Ok(file) => match rustix::io::write(file.as_fd(), text.as_bytes()) {
                // No security module listens there.
                Err(Errno::INVAL) => {}
                result => {
                    return result.map(drop).context(|| format!("set {module} \"{name}\" for the command"));
                }
            },
        }
    }
    Err(Error::Unavailable {
        feature: format!("{module} \"{name}\""),
        reason: format!("this kernel runs without {module}; leave it out of the process"),
    })
}

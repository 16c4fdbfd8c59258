//! cgroup v2: one directory per container, its limits, its device program, freezing, killing, figures.
//!
//! Only v2 is used. Hosts with v1 hierarchies beside it have some controllers there and not in v2:
//! containers run without those limits, and asking for one of them is [`Error::Controller`].

mod bpf;
mod controllers;
mod cpu;
mod device_rules;
mod freeze;
mod io;
mod lifecycle;
mod members;
mod memory;
mod mounted;
mod resources;
mod stats;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::LinuxDeviceCgroup;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Error};

pub use controllers::available as available_controllers;
pub use freeze::Freezing;
pub use mounted::mount_point;
pub use stats::Stats;

/// The rules of a spec with what every container may use (null, zero, its terminals), as runc has it.
pub(crate) fn with_default_devices(rules: &[LinuxDeviceCgroup]) -> Vec<LinuxDeviceCgroup> {
    if allows_everything(rules) {
        return rules.to_vec();
    }
    let default = crate::defaults::ALWAYS_ALLOWED.iter().map(|text| crate::defaults::device_rule(true, text));
    rules.iter().cloned().chain(default).collect()
}

/// Whether the rules (some, and well-formed) leave nothing to check.
pub(crate) fn allows_everything(rules: &[LinuxDeviceCgroup]) -> bool {
    !rules.is_empty() && device_rules::DeviceRules::parse(rules).is_ok_and(|rules| rules.allows_everything())
}

/// The cgroup that a process is in now.
pub(crate) fn of_process(pid: rustix::process::Pid) -> Result<Cgroup, Error> {
    let file = format!("/proc/{}/cgroup", pid.as_raw_nonzero());
    let text = std::fs::read_to_string(&file).context(|| format!("read {file}"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    Cgroup::open(&mount_point()?.join(path))
}

/// More than this of a control file is not read.
const MAX_FILE: usize = 1 << 20;

/// A container's cgroup, or that of a microVM's monitor.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    dir: OwnedFd,
}

impl Cgroup {
    /// Makes `path` (absolute, inside a v2 mount) and the missing directories above it, with the controllers enabled
    /// that can be. An empty cgroup that is there already is taken over: its owner died before us.
    pub fn create(path: &Path) -> Result<Cgroup, Error> {
        if path.components().any(|part| matches!(part, Component::ParentDir)) || !path.is_absolute() {
            return Err(Error::spec(format!("cgroup path {} is not absolute and plain", path.display())));
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        controllers::enable(parent)?;
        match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
            Ok(()) => Self::open(path),
            Err(Errno::EXIST) => {
                let cgroup = Self::open(path)?;
                if cgroup.is_populated()? {
                    return Err(Error::State(format!(
                        "cgroup {} is in use by other processes: is a container of this name running?",
                        path.display()
                    )));
                }
                // What a former owner left (limits, frozen state) goes with the directory.
                cgroup.remove()?;
                rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))
                    .context(|| format!("make cgroup {}", path.display()))?;
                Self::open(path)
            }
            Err(errno) => Err(errno).context(|| format!("make cgroup {}", path.display())),
        }
    }

    /// Opens a cgroup that is there.
    pub fn open(path: &Path) -> Result<Cgroup, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty())
            .context(|| format!("open cgroup {}", path.display()))?;
        Ok(Cgroup { path: path.to_owned(), dir })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Writes a control file in one write, as the kernel wants it.
    fn write(&self, file: &str, value: &str) -> Result<(), Errno> {
        write_at(self.fd(), file, value)
    }

    fn has(&self, file: &str) -> bool {
        rustix::fs::accessat(&self.dir, file, rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty())
            .is_ok()
    }

    fn read(&self, file: &str) -> Result<String, Errno> {
        read_at(self.fd(), file)
    }
}

fn write_at(dir: BorrowedFd<'_>, file: &str, value: &str) -> Result<(), Errno> {
    let fd = rustix::fs::openat(dir, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::retry_on_intr(|| rustix::io::write(&fd, value.as_bytes())).map(drop)
}

fn read_at(dir: BorrowedFd<'_>, file: &str) -> Result<String, Errno> {
    let fd = rustix::fs::openat(dir, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut chunk))?;
        if count == 0 || text.len() > MAX_FILE {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A cgroup for one test, or none where the test may not make cgroups.
    pub(crate) fn cgroup(name: &str) -> Cgroup {
        let root = mount_point().expect("a cgroup v2 mount");
        Cgroup::create(&root.join(format!("sandbox-test-{}-{name}", std::process::id()))).expect("a cgroup")
    }
}

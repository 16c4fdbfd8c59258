//! Controllers: which there are, and switching them on from the root of the tree down.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::mounted::is_cgroup2;
use super::{read_at, write_at};
use crate::error::{Context, Error};

/// Switched on where they are there: what carries limits, and what `stats` reads.
const WANTED: [&str; 7] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"];
/// Nothing to do when the parent has these for its children already.
const ESSENTIAL: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// The controllers of the v2 tree at `path` (a directory of it), for `doctor` and for errors.
pub fn available(path: &Path) -> Vec<String> {
    let file = std::fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    file.split_whitespace().map(str::to_owned).collect()
}

/// Makes `parent` and what is missing above it and gives its children all wanted controllers that are available.
/// A controller that cannot be switched on (processes in an inner cgroup, delegation) is left out: whoever
/// asks for its limit gets the error.
pub(super) fn enable(parent: &Path) -> Result<(), Error> {
    if let Ok(enabled) = std::fs::read_to_string(parent.join("cgroup.subtree_control"))
        && ESSENTIAL.iter().all(|name| enabled.split_whitespace().any(|have| have == *name))
    {
        return Ok(());
    }
    for directory in chain(parent)? {
        match rustix::fs::mkdir(&directory, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).context(|| format!("make cgroup {}", directory.display())),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&directory, flags, Mode::empty())
            .context(|| format!("open cgroup {}", directory.display()))?;
        let read =
            |file| read_at(dir.as_fd(), file).context(|| format!("read {}/{file}", directory.display()));
        let (there, enabled) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
        let missing: Vec<String> = WANTED
            .iter()
            .filter(|name| there.split_whitespace().any(|have| have == **name))
            .filter(|name| !enabled.split_whitespace().any(|have| have == **name))
            .map(|name| format!("+{name}"))
            .collect();
        if !missing.is_empty() && write_at(dir.as_fd(), "cgroup.subtree_control", &missing.join(" ")).is_err()
        {
            // All or nothing in one write: now each that works.
            for one in &missing {
                let _ = write_at(dir.as_fd(), "cgroup.subtree_control", one);
            }
        }
    }
    Ok(())
}

/// The directories from the root of the v2 tree down to `path`.
fn chain(path: &Path) -> Result<Vec<PathBuf>, Error> {
    // The outermost ancestor that is on cgroup2 is the root of the tree (or of what is mounted of it).
    let mut chain: Vec<PathBuf> = Vec::new();
    let mut inside = false;
    for ancestor in path.ancestors() {
        let here = is_cgroup2(ancestor);
        if inside && !here {
            break;
        }
        inside |= here;
        chain.push(ancestor.to_owned());
    }
    if !inside {
        return Err(Error::Unavailable {
            feature: "cgroup v2".to_owned(),
            reason: format!("{} is not inside a cgroup2 mount", path.display()),
        });
    }
    chain.reverse();
    Ok(chain)
}

/// The error for a limit whose file is not there.
pub(super) fn missing(cgroup: &Path, controller: &str, limit: &str) -> Error {
    let parent = cgroup.parent().unwrap_or(cgroup);
    let root = chain(parent).ok().and_then(|chain| chain.first().cloned()).unwrap_or_default();
    let (path, remedy) = if available(&root).iter().any(|name| name == controller) {
        (parent, format!("switch it on: echo +{controller} > {}/cgroup.subtree_control", parent.display()))
    } else {
        let remedy =
            "run without this limit, or boot with cgroup_no_v1=all if cgroup v1 holds the controller";
        (root.as_path(), remedy.to_owned())
    };
    Error::Controller {
        limit: limit.to_owned(),
        controller: controller.to_owned(),
        path: path.display().to_string(),
        remedy,
    }
}

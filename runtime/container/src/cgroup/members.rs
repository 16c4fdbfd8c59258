//! Who is in a cgroup and in those below it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Cgroup, read_at};
use crate::error::{Context, Error};

/// Cgroups below a container's that are looked into: one with the means can make as many as it likes.
const MAX_CGROUPS: usize = 4096;

impl Cgroup {
    /// PIDs of all processes in it and below, in ascending order, at most `max`. Those of other PID namespaces
    /// that we cannot see have none.
    pub(crate) fn members(&self, max: usize) -> Result<Vec<i32>, Error> {
        let failed = || format!("list the processes of cgroup {}", self.path().display());
        let root = open(self.fd(), ".").context(failed)?;
        let (mut pending, mut seen, mut pids) = (vec![root], 1, Vec::new());
        while let Some(directory) = pending.pop() {
            match read_at(directory.as_fd(), "cgroup.procs") {
                Ok(text) => {
                    let room = max.saturating_sub(pids.len());
                    let found = text.lines().filter_map(|line| line.parse::<i32>().ok());
                    pids.extend(found.filter(|pid| *pid > 0).take(room));
                }
                // Removed meanwhile, or threaded: its processes are listed further up.
                Err(Errno::NODEV | Errno::NOENT | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno).context(failed),
            }
            // The parent's listing makes its directories all its children's; one that is gone has nobody in it.
            for child in children(&directory).unwrap_or_default() {
                if seen == MAX_CGROUPS || pids.len() >= max {
                    break;
                }
                if let Ok(child) = open(directory.as_fd(), &child) {
                    pending.push(child);
                    seen += 1;
                }
            }
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }
}

fn open(parent: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Names of the cgroups right below.
fn children(directory: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_directory = match entry.file_type() {
            FileType::Unknown => rustix::fs::statat(directory, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            kind => kind == FileType::Directory,
        };
        if is_directory && name != "." && name != ".." && names.len() < MAX_CGROUPS {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_below_are_members_too() {
        let cgroup = super::super::testing::cgroup("members");
        let path = cgroup.path().to_owned();
        std::fs::create_dir_all(path.join("a/b")).expect("nested cgroups");
        let mut children: Vec<_> = ["a/b", "a", "."]
            .iter()
            .map(|place| {
                let child = std::process::Command::new("sleep").arg("1000").spawn().expect("a process");
                std::fs::write(path.join(place).join("cgroup.procs"), child.id().to_string()).expect("moved");
                child
            })
            .collect();
        let mut expected: Vec<i32> = children.iter().map(|child| child.id() as i32).collect();
        expected.sort_unstable();
        assert_eq!(cgroup.members(100).expect("listed"), expected);
        assert_eq!(cgroup.members(2).expect("listed").len(), 2);
        assert!(cgroup.members(0).expect("listed").is_empty());
        let again = Cgroup::open(&path).expect("opens");
        cgroup.remove().expect("removed");
        for child in &mut children {
            assert!(!child.wait().expect("waited").success());
        }
        // Its descriptor is still there, its files are not.
        assert!(again.members(100).expect("nobody").is_empty());
    }
}

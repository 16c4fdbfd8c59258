//! Freezing, killing and removing a cgroup. Waiting is poll(2) on cgroup.events, never a sleep.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Cgroup, read_at};
use crate::error::{Context, Error};

/// How long the kernel may take to freeze or to end processes that got SIGKILL, in seconds. Only
/// processes that hang in the kernel (dead NFS) take that long.
const PATIENCE: i64 = 10;

impl Cgroup {
    pub(crate) fn is_populated(&self) -> Result<bool, Error> {
        Ok(self.event("populated")? == 1)
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.event("frozen").is_ok_and(|value| value == 1)
    }

    /// Freezes or thaws all processes and waits until it is so.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), Error> {
        self.write_freeze(frozen)?;
        self.wait_for("frozen", u64::from(frozen))
    }

    /// SIGKILL for every process in it and below.
    pub fn kill(&self) -> Result<(), Error> {
        match self.write("cgroup.kill", "1") {
            // Before 5.14 there is no such file; frozen processes die of the signal, too.
            Err(Errno::NOENT) => self.kill_one_by_one(),
            Err(Errno::NODEV) => Ok(()),
            result => result.context(|| format!("kill cgroup {}", self.path.display())),
        }
    }

    fn kill_one_by_one(&self) -> Result<(), Error> {
        for pid in self.processes()?.into_iter().filter_map(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        Ok(())
    }

    /// PIDs of the processes in it, not of those in cgroups below.
    pub(crate) fn processes(&self) -> Result<Vec<i32>, Error> {
        let text = match self.read("cgroup.procs") {
            // Removed meanwhile.
            Err(Errno::NODEV | Errno::NOENT) => return Ok(Vec::new()),
            result => result.context(|| format!("read {}/cgroup.procs", self.path.display()))?,
        };
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether the OOM killer ended a process of it.
    pub fn oom_killed(&self) -> bool {
        self.read("memory.events")
            .is_ok_and(|text| value_of(&text, "oom_kill").is_some_and(|count| count > 0))
    }

    /// Kills what is left and removes it with what is below. Idempotent: one that is gone is fine.
    pub fn remove(self) -> Result<(), Error> {
        match remove_tree(&self.path, 0) {
            Ok(()) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(errno).context(|| format!("remove cgroup {}", self.path.display())),
        }
        self.kill()?;
        self.wait_for("populated", 0)?;
        remove_tree(&self.path, 0).context(|| format!("remove cgroup {}", self.path.display()))
    }

    fn event(&self, name: &str) -> Result<u64, Error> {
        let text =
            self.read("cgroup.events").context(|| format!("read {}/cgroup.events", self.path.display()))?;
        Ok(value_of(&text, name).unwrap_or(0))
    }

    fn wait_for(&self, name: &str, wanted: u64) -> Result<(), Error> {
        let waiting = || format!("wait for \"{name} {wanted}\" in {}/cgroup.events", self.path.display());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events =
            rustix::fs::openat(self.dir.as_fd(), "cgroup.events", flags, Mode::empty()).context(waiting)?;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(PATIENCE as u64);
        loop {
            let mut buffer = [0; 256];
            let count = rustix::io::pread(&events, &mut buffer, 0).context(waiting)?;
            let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
            if value_of(&text, name) == Some(wanted) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Err(Errno::TIMEDOUT).context(waiting);
            }
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context(waiting),
            }
        }
    }
}

/// The number behind `name` in a file of "name number" lines.
pub(super) fn value_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The container may have made cgroups below its own; deeper than the kernel nests none are looked for.
fn remove_tree(path: &Path, depth: u32) -> Result<(), Errno> {
    match rustix::fs::rmdir(path) {
        Err(Errno::NOENT) | Ok(()) => return Ok(()),
        Err(Errno::BUSY) if depth < 64 => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let dir = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        result => result?,
    };
    if value_of(&read_at(dir.as_fd(), "cgroup.events")?, "populated") == Some(1) {
        return Err(Errno::BUSY);
    }
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_directory = match entry.file_type() {
            FileType::Unknown => rustix::fs::statat(&dir, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            kind => kind == FileType::Directory,
        };
        if is_directory && name != "." && name != ".." {
            remove_tree(&path.join(name), depth + 1)?;
        }
    }
    match rustix::fs::rmdir(path) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn kills_and_removes_what_is_below_too() {
        let cgroup = super::super::testing::cgroup("remove");
        let path = cgroup.path().to_owned();
        std::fs::create_dir_all(path.join("a/b")).expect("nested cgroups");
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("a process");
        std::fs::write(path.join("a/b/cgroup.procs"), child.id().to_string()).expect("moved");
        assert!(cgroup.is_populated().expect("readable"));
        cgroup.freeze(true).expect("frozen");
        assert!(cgroup.is_frozen());
        cgroup.freeze(false).expect("thawed");
        assert!(!cgroup.is_frozen());
        let again = Cgroup::open(&path).expect("opens");
        cgroup.remove().expect("removed");
        assert!(!path.exists());
        assert_eq!(child.wait().expect("waited").signal(), Some(9));
        again.remove().expect("removing twice is fine");
    }

    #[test]
    fn lines_are_matched_whole() {
        assert_eq!(value_of("oom 3\noom_kill 2\n", "oom"), Some(3));
        assert_eq!(value_of("oom_group_kill 1\noom_kill 2\n", "oom_kill"), Some(2));
        assert_eq!(value_of("populated 1\n", "pop"), None);
    }
}

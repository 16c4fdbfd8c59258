//! The host's cgroup v2 tree as the engine sees it: where it is, which controllers it has, and how
//! what a dead container left in it is reclaimed. Making cgroups is the supervisor's.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Magic number of cgroup2 in statfs(2) (linux/magic.h).
const CGROUP2_MAGIC: i64 = 0x6367_7270;
/// Where distributions mount it, pure and beside version 1.
const USUAL: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Killed processes are gone by then, unless one hangs in the kernel.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// A container that nests cgroups deeper than this is left to the next reclaim, one level at a time.
const MAX_DEPTH: usize = 64;
/// Bytes of a `--cgroup-parent`: room for the rest of the path is left in PATH_MAX.
const MAX_PARENT: usize = 2048;

/// A mounted cgroup v2 tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    pub path: PathBuf,
    controllers: Vec<String>,
}

impl Hierarchy {
    pub(crate) fn new(path: PathBuf, controllers: &str) -> Hierarchy {
        Hierarchy { path, controllers: controllers.split_whitespace().map(str::to_owned).collect() }
    }

    /// The tree of this host.
    pub fn find() -> Option<Hierarchy> {
        let usual = USUAL.iter().map(PathBuf::from).find(|path| is_cgroup2(path));
        let path = usual.or_else(|| {
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
            mount_point(&mounts).filter(|path| is_cgroup2(path))
        })?;
        let controllers = std::fs::read_to_string(path.join("cgroup.controllers")).ok()?;
        Some(Hierarchy::new(path, &controllers))
    }

    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    pub fn controllers(&self) -> &[String] {
        &self.controllers
    }

    /// `<cgroup2>/sandbox/<id>`, or below another parent.
    pub(crate) fn of_container(&self, parent: Option<&str>, id: &str) -> PathBuf {
        let parent = parent.map_or("sandbox", |parent| parent.trim_start_matches('/'));
        self.path.join(parent).join(id)
    }
}

/// `--cgroup-parent`: a path below the tree's root that stays there.
pub(crate) fn check_parent(parent: &str) -> Result<()> {
    let path = parent.trim_start_matches('/');
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255;
    if parent.contains('\0') || parent.len() > MAX_PARENT || !path.split('/').all(plain) {
        return Err(Error::invalid(format!(
            "invalid cgroup parent {parent:?}: a path below the root of the cgroup v2 tree is needed, without . and .."
        )));
    }
    Ok(())
}

fn is_cgroup2(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|s| s.f_type == CGROUP2_MAGIC)
}

/// First mount point of a cgroup2 file system (proc(5), mountinfo).
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        (right.split(' ').next() == Some("cgroup2")).then_some(())?;
        left.split(' ').nth(4).filter(|path| !path.contains('\\')).map(PathBuf::from)
    })
}

/// Kills everything in the cgroup and removes it with its descendants. What is not there is fine.
pub(crate) fn reclaim(path: &Path) -> Result<()> {
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        Err(e) => return Err(Error::io("remove cgroup", path)(e)),
    }
    match std::fs::write(path.join("cgroup.kill"), "1") {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("kill the processes of", path)(e)),
    }
    wait_empty(path)?;
    remove_tree(path, MAX_DEPTH)
}

/// cgroup.events is woken with POLLPRI when `populated` changes (cgroup-v2.rst).
fn wait_empty(path: &Path) -> Result<()> {
    let events = path.join("cgroup.events");
    let file = match rustix::fs::open(&events, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(Error::io("open", events)(e)),
    };
    let until = Instant::now() + KILL_WAIT;
    loop {
        let mut text = [0u8; 256];
        let read = match rustix::io::pread(&file, &mut text, 0) {
            Ok(n) => n,
            Err(Errno::NODEV) => return Ok(()),
            Err(e) => return Err(Error::io("read", events)(e)),
        };
        if !text[..read].windows(11).any(|w| w == b"populated 1") {
            return Ok(());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::io("wait for the end of the processes in", path)(Errno::TIMEDOUT));
        }
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(Error::io("poll", events)(e)),
        }
    }
}

fn remove_tree(path: &Path, depth: usize) -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let dir = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(Error::io("open cgroup", path)(e)),
    };
    let entries = rustix::fs::Dir::read_from(&dir).map_err(Error::io("read cgroup", path))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("read cgroup", path))?;
        let name = entry.file_name();
        let is_child =
            entry.file_type() == rustix::fs::FileType::Directory && !matches!(name.to_bytes(), b"." | b"..");
        if !is_child {
            continue;
        }
        let gone = rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR);
        if matches!(gone, Err(Errno::BUSY | Errno::NOTEMPTY)) && depth > 0 {
            let child = path.join(std::ffi::OsStr::new(&*name.to_string_lossy()));
            remove_tree(&child, depth - 1)?;
        }
    }
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(Error::io("remove cgroup", path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn mount_point_beside_version_1() {
        let text = "24 1 0:22 / /sys rw - sysfs sysfs rw\n\
                    30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                    41 24 0:37 / /mnt/cg rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(text), Some("/mnt/cg".into()));
        assert_eq!(mount_point("24 1 0:22 / /sys rw - sysfs sysfs rw\n"), None);
    }

    #[test]
    fn parents() {
        let hierarchy = Hierarchy::new("/cg".into(), "");
        assert_eq!(hierarchy.of_container(None, "x"), Path::new("/cg/sandbox/x"));
        assert_eq!(hierarchy.of_container(Some("/a/b"), "x"), Path::new("/cg/a/b/x"));
        for good in ["a", "/a/b.slice", "system.slice/x"] {
            check_parent(good).unwrap();
        }
        for bad in ["", "/", "..", "/a/../b", "a//b", "a/", "a\0b", &"a/".repeat(1500)] {
            assert!(check_parent(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn kills_and_removes_a_nested_tree() {
        let Some(hierarchy) = Hierarchy::find() else { panic!("these tests need a cgroup v2 tree") };
        let top = hierarchy.path.join(format!("sandbox-test-{}", std::process::id()));
        let inner = top.join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
        std::fs::write(inner.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
        // The dead stay in the cgroup until they are reaped, but do not count as populated.
        reclaim(&top).unwrap();
        assert!(!top.exists());
        assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
        reclaim(&top).unwrap();
    }
}

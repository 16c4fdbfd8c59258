//! Where cgroup v2 is mounted.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

/// The place where nearly every host has it, then where hybrid hosts do.
const USUAL: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// CGROUP2_SUPER_MAGIC of `linux/magic.h`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// The mount point of the cgroup v2 tree: the usual places, then whatever /proc/self/mountinfo says.
///
/// # Errors
/// [`Error::Unavailable`] when there is none.
pub fn mount_point() -> Result<PathBuf, Error> {
    if let Some(path) = USUAL.iter().map(Path::new).find(|path| is_cgroup2(path)) {
        return Ok(path.to_owned());
    }
    let mountinfo =
        std::fs::read_to_string("/proc/self/mountinfo").context(|| "read /proc/self/mountinfo")?;
    find(&mountinfo).ok_or_else(|| Error::Unavailable {
        feature: "cgroup v2".to_owned(),
        reason: "no cgroup2 file system is mounted; mount -t cgroup2 none /sys/fs/cgroup/unified".to_owned(),
    })
}

pub(super) fn is_cgroup2(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type as u64 == CGROUP2_MAGIC)
}

fn find(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        (back.split(' ').next()? == "cgroup2").then(|| unescape(front.split(' ').nth(4)?))?
    })
}

/// mountinfo writes blanks and backslashes as `\ooo`.
fn unescape(text: &str) -> Option<PathBuf> {
    let mut parts = text.split('\\');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(3)?;
        out.push(u8::from_str_radix(digits, 8).ok()?);
        out.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(out).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_tree_beside_v1() {
        let text = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                    41 31 0:38 / /sys/fs/my\\040cgroup rw,relatime shared:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(find(text), Some(PathBuf::from("/sys/fs/my cgroup")));
        assert_eq!(find("41 31 0:38 / /x rw - tmpfs cgroup2 rw\n"), None);
        assert!(is_cgroup2(&mount_point().expect("this machine has cgroup v2")));
    }
}

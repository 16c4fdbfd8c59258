//! What is at a path, as Docker's `X-Docker-Container-Path-Stat` has it.

use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::ArchiveError;
use super::resolve::{base_name, follow, resolve};

/// The bits of Go's `os.FileMode`.
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const NAMED_PIPE: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SET_UID: u32 = 1 << 23;
const SET_GID: u32 = 1 << 22;
const CHARACTER_DEVICE: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    pub name: String,
    pub size: u64,
    /// Go's `os.FileMode`.
    pub mode: u32,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Of a link: where it leads, from the root and without links; empty for everything else.
    pub link_target: String,
}

impl PathStat {
    pub fn is_directory(&self) -> bool {
        self.mode & DIRECTORY != 0
    }

    /// What it is if it is neither a file, a directory nor a link.
    pub fn special(&self) -> Option<&'static str> {
        match self.mode {
            mode if mode & DEVICE != 0 => Some("a device"),
            mode if mode & (NAMED_PIPE | SOCKET) != 0 => Some("an irregular file"),
            _ => None,
        }
    }

    pub fn is_symlink(&self) -> bool {
        self.mode & SYMLINK != 0
    }
}

/// Looks at `path` in `root`; a link in its last component is not followed.
pub fn stat(root: BorrowedFd<'_>, path: &str) -> Result<PathStat, ArchiveError> {
    let resolved = resolve(root, path, false)?;
    let link_target = match &resolved.place {
        Some(place) if place.kind() == FileType::Symlink => {
            // Of a loop nothing more can be said than that it is a link.
            follow(root, &resolved, path).map(|target| target.path()).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let stat = resolved.found(path)?.stat;
    let seconds = stat.st_mtime.saturating_mul(1_000_000_000);
    Ok(PathStat {
        name: base_name(path),
        size: stat.st_size as u64,
        mode: go_mode(stat.st_mode),
        mtime_ns: seconds.saturating_add(stat.st_mtime_nsec as i64),
        link_target: String::from_utf8_lossy(&link_target).into_owned(),
    })
}

fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => DIRECTORY,
        FileType::Symlink => SYMLINK,
        FileType::BlockDevice => DEVICE,
        FileType::CharacterDevice => DEVICE | CHARACTER_DEVICE,
        FileType::Fifo => NAMED_PIPE,
        FileType::Socket => SOCKET,
        _ => 0,
    };
    let special = [(0o4000, SET_UID), (0o2000, SET_GID), (0o1000, STICKY)];
    special.iter().filter(|(bit, _)| mode & bit != 0).fold(kind | mode & 0o777, |all, (_, go)| all | go)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        for (mode, go) in [
            (0o100_644, 0o644),
            (0o040_755, 0x8000_01ed),
            (0o120_777, 0x0800_01ff),
            (0o104_755, 0x0080_01ed),
            (0o041_777, 0x8010_01ff),
            (0o020_666, 0x0420_01b6),
            (0o060_660, 0x0400_01b0),
            (0o010_600, 0x0200_0180),
            (0o140_755, 0x0100_01ed),
        ] {
            assert_eq!(go_mode(mode), go, "{mode:o}");
        }
    }
}

//! How to unpack an archive, and what a guard keeps out of it.

use sandbox_tar::{Entry, Kind};
use serde::{Deserialize, Serialize};

use super::{ArchiveError, shown};

/// How to unpack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpack {
    /// A directory is not replaced by something else, nor something else by a directory.
    #[serde(default)]
    pub no_overwrite_dir_non_dir: bool,
    #[serde(default)]
    pub owner: Owner,
    /// The archive comes from a container and this is the host: it gives away no rights (set-user-ID, file
    /// capabilities), makes no device, and no link that leads out of the directory.
    #[serde(default)]
    pub guard: bool,
    /// Only entries below this name are taken, and get another one.
    #[serde(default)]
    pub rename: Option<Rename>,
}

/// Whose the files are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The archive's ids.
    #[default]
    Archive,
    /// Docker's `USER[:GROUP]`, looked up in the root.
    User(String),
    /// Ours.
    Caller,
}

/// See [`Unpack::rename`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    pub from: String,
    pub to: String,
}

/// See [`Unpack::guard`].
pub(super) fn guard(entry: &mut Entry, components: &[Vec<u8>]) -> Result<(), ArchiveError> {
    entry.mode &= 0o1777;
    entry.xattrs.retain(|(name, _)| name.starts_with(b"user."));
    match entry.kind {
        Kind::CharacterDevice | Kind::BlockDevice => Err(ArchiveError::refused(
            &entry.path,
            "is a device; devices of a container are not made on this machine",
        )),
        Kind::Symlink if leads_out(&entry.link, components.len() - 1) => Err(ArchiveError::Failed(format!(
            "invalid symlink {:?} -> {:?}: it leads out of the destination",
            shown(&entry.path),
            shown(&entry.link)
        ))),
        _ => Ok(()),
    }
}

/// Whether a relative link climbs higher than `depth` directories. An absolute one says nothing about where it was copied
/// to, and is a link like any other.
fn leads_out(link: &[u8], depth: usize) -> bool {
    let mut depth = depth;
    if link.starts_with(b"/") {
        return false;
    }
    for part in link.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

//! A directory of the image as overlayfs merges its layers, for reading.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fgetxattr, openat, statat};
use rustix::io::{Errno, Result};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Its parts, top-most first.
#[derive(Debug, Clone, Default)]
pub(super) struct Lower(Vec<Rc<OwnedFd>>);

/// What the image has at a name.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) stat: Stat,
    /// The part that shows it.
    pub(super) holder: Rc<OwnedFd>,
    /// What is in it, if it is a directory.
    pub(super) inner: Option<Lower>,
}

impl Lower {
    /// The root of the layers at these paths, top-most first.
    pub(super) fn root(layers: &[PathBuf]) -> Result<Self> {
        let open = |path: &PathBuf| rustix::fs::open(path, DIRECTORY, Mode::empty()).map(Rc::new);
        layers.iter().map(open).collect::<Result<_>>().map(Self)
    }

    /// The top-most part that has the name decides; directories merge until one is opaque or something else is in the way.
    pub(super) fn look_up(&self, name: &[u8]) -> Result<Option<Found>> {
        let mut found: Option<Found> = None;
        for part in &self.0 {
            let stat = match statat(part, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let directory = openat(part, name, DIRECTORY, Mode::empty())?;
                let opaque = is_opaque(&directory)?;
                let whole = found.get_or_insert_with(|| Found {
                    stat,
                    holder: Rc::clone(part),
                    inner: Some(Self::default()),
                });
                if let Some(Self(parts)) = &mut whole.inner {
                    parts.push(Rc::new(directory));
                }
                if opaque {
                    break;
                }
            } else {
                if found.is_none() && !is_whiteout(&stat) {
                    found = Some(Found { stat, holder: Rc::clone(part), inner: None });
                }
                break;
            }
        }
        Ok(found)
    }

    /// The names that it shows, sorted.
    pub(super) fn names(&self) -> Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for part in &self.0 {
            names.extend(super::names(part)?);
        }
        names.sort_unstable();
        names.dedup();
        let mut shown = Vec::with_capacity(names.len());
        for name in names {
            if self.look_up(&name)?.is_some() {
                shown.push(name);
            }
        }
        Ok(shown)
    }
}

/// overlayfs' mark for a removed name.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a directory hides what is below it.
pub(super) fn is_opaque(directory: &OwnedFd) -> Result<bool> {
    let mut value = [0u8; 16];
    match fgetxattr(directory, "trusted.overlay.opaque", &mut value[..]) {
        Ok(count) => Ok(count == 1 && value.first() == Some(&b'y')),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The names in one directory.
pub(super) fn names(directory: &OwnedFd) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory.as_fd())? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_bytes().to_vec());
        }
    }
    Ok(names)
}

//! From a path of the user to a place in the root, by Docker's rules: `..` goes first and by its letters alone, then
//! links of all components but the last, and that one's too if a slash or `/.` follows it.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::ArchiveError;
use super::open::Place;
use crate::sys::path::MAX_LINKS;

/// Components that are walked, those of links included.
const COMPONENTS: usize = 4096;
/// `PATH_MAX`, its terminator not included.
const PATH: usize = 4095;

/// Where a path leads.
#[derive(Debug)]
pub(super) struct Resolved {
    /// From the root, without links.
    pub(super) components: Vec<Vec<u8>>,
    /// `None` if nothing is there.
    pub(super) place: Option<Place>,
}

impl Resolved {
    /// The path as text, from the root.
    pub(super) fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        for component in &self.components {
            path.push(b'/');
            path.extend_from_slice(component);
        }
        if path.is_empty() { b"/".to_vec() } else { path }
    }

    /// What is there.
    pub(super) fn found(self, path: &str) -> Result<Place, ArchiveError> {
        self.place.ok_or_else(|| ArchiveError::Missing { path: path.to_owned() })
    }
}

/// Whether the path says that a directory is meant.
pub(super) fn names_directory(path: &str) -> bool {
    path.ends_with('/') || path == "." || path.ends_with("/.")
}

/// The components of a path, `..` resolved.
fn clean(path: &str) -> Vec<Vec<u8>> {
    let mut components: Vec<Vec<u8>> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()),
            name => components.push(name.as_bytes().to_vec()),
        }
    }
    components
}

/// The name at the top of a path's archive: the last component, `.` for `x/.`, `/` for the root.
pub fn base_name(path: &str) -> String {
    let last = clean(path).pop();
    match last {
        Some(_) if path == "." || path.ends_with("/.") => ".".to_owned(),
        Some(name) => String::from_utf8_lossy(&name).into_owned(),
        None => "/".to_owned(),
    }
}

/// Resolves `path` in `root`; the last component's link is followed with `follow`.
pub(super) fn resolve(root: BorrowedFd<'_>, path: &str, follow: bool) -> Result<Resolved, ArchiveError> {
    let failed = |errno: Errno| match errno {
        Errno::NOTDIR => ArchiveError::NotADirectory { path: path.to_owned() },
        errno => ArchiveError::failed("look up", path.as_bytes(), errno),
    };
    if path.len() > PATH {
        return Err(failed(Errno::NAMETOOLONG));
    }
    if path.contains('\0') {
        return Err(ArchiveError::refused(path.as_bytes(), "has a NUL in it"));
    }
    let follow = follow || names_directory(path);
    let resolved = walk(root, clean(path), follow).map_err(failed)?;
    match &resolved.place {
        Some(place) if names_directory(path) && !place.is_directory() => Err(failed(Errno::NOTDIR)),
        _ => Ok(resolved),
    }
}

/// Walks to where the link in the last component of `from` leads.
pub(super) fn follow(root: BorrowedFd<'_>, from: &Resolved, path: &str) -> Result<Resolved, ArchiveError> {
    walk(root, from.components.clone(), true)
        .map_err(|errno| ArchiveError::failed("follow the link", path.as_bytes(), errno))
}

/// By hand, so that the path without links is known; from what is missing on, components count by their letters.
fn walk(root: BorrowedFd<'_>, components: Vec<Vec<u8>>, follow: bool) -> Result<Resolved, Errno> {
    let mut pending: VecDeque<Vec<u8>> = components.into();
    let mut trail: Vec<(Vec<u8>, Option<Place>)> = Vec::new();
    let (mut links, mut walked) = (0, 0);
    while let Some(name) = pending.pop_front() {
        walked += 1;
        if walked > COMPONENTS {
            return Err(Errno::NAMETOOLONG);
        }
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                trail.pop();
                continue;
            }
            _ => {}
        }
        let here = match trail.last() {
            None => Some(root),
            Some((_, None)) => None,
            Some((_, Some(place))) if place.is_directory() => Some(std::os::fd::AsFd::as_fd(&place.fd)),
            Some(_) => return Err(Errno::NOTDIR),
        };
        let place = match here.map(|here| Place::child(here, &name)).transpose() {
            Err(Errno::NOENT) => None,
            other => other?,
        };
        match &place {
            Some(link) if link.kind() == FileType::Symlink && (follow || !pending.is_empty()) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = link.link_target()?;
                if target.starts_with(b"/") {
                    trail.clear();
                }
                for part in target.split(|byte| *byte == b'/').rev() {
                    pending.push_front(part.to_vec());
                }
            }
            _ => trail.push((name, place)),
        }
    }
    let (components, mut places): (Vec<_>, Vec<_>) = trail.into_iter().unzip();
    let place = match places.pop() {
        Some(place) => place,
        None => Some(Place::of(rustix::io::fcntl_dupfd_cloexec(root, 3)?)?),
    };
    Ok(Resolved { components, place })
}

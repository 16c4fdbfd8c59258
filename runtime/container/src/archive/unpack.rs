//! A tar into a directory of the root, as Docker's `PUT /containers/{id}/archive` does it: later entries win,
//! directories merge.
//!
//! Names are taken below the directory whatever they say; one with more `..` than that is refused. Links on the way to an
//! entry lead where they would in the container, never out of the root.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, StatVfsMountFlags, fstat, fstatvfs, linkat, makedev, mkdirat, mknodat,
    openat, symlinkat,
};
use rustix::io::Errno;
use sandbox_tar::metadata::{self, DEFAULT_ACL, Metadata};
use sandbox_tar::{DataError, Entry, Kind, TarReader};

use super::open::{Place, remove};
use super::options::{Owner, Unpack, guard};
use super::pack::DEPTH;
use super::resolve::resolve;
use super::{ArchiveError, shown};
use crate::sys;

const BUFFER: usize = 128 << 10;
/// Of a tar.
const BLOCK: u64 = 512;
/// Headers of one archive.
const ENTRIES: u64 = 1 << 28;
/// Bytes of the paths of directories whose time is set at the end.
const LATE: usize = 64 << 20;

/// Unpacks `input` into the directory `path` of `root`. The bytes of the archive come back, extended headers not counted.
pub fn unpack(
    root: BorrowedFd<'_>,
    path: &str,
    input: impl Read,
    options: &Unpack,
) -> Result<u64, ArchiveError> {
    let resolved = resolve(root, path, true)?;
    let base = resolved.components.clone();
    let place = resolved.found(path)?;
    if !place.is_directory() {
        return Err(ArchiveError::Failed("extraction point is not a directory".to_owned()));
    }
    writable(root, &place)?;
    let mut tar = TarReader::new(BufReader::with_capacity(BUFFER, input), ENTRIES);
    let owner = match &options.owner {
        Owner::Archive => None,
        Owner::User(user) => {
            let user = crate::user::resolve_user(root, user, &[])
                .map_err(|error| ArchiveError::Failed(error.to_string()))?;
            Some((user.uid, user.gid))
        }
        Owner::Caller => Some((rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())),
    };
    let mut size = 2 * BLOCK;
    let mut unpacker = Unpacker { root, base, options, owner, late: Vec::new(), late_bytes: 0 };
    while let Some(entry) =
        tar.next_entry().map_err(|error| ArchiveError::Failed(format!("the archive: {error}")))?
    {
        size = size
            .saturating_add(BLOCK)
            .saturating_add(entry.size.checked_next_multiple_of(BLOCK).unwrap_or(entry.size));
        unpacker.apply(entry, &mut tar)?;
    }
    unpacker.finish()?;
    Ok(size)
}

fn writable(root: BorrowedFd<'_>, place: &Place) -> Result<(), ArchiveError> {
    let read_only = |fd| fstatvfs(fd).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    if !read_only(place.fd.as_fd()) {
        return Ok(());
    }
    let of_root = fstat(root).is_ok_and(|root| root.st_dev == place.stat.st_dev);
    Err(if of_root && read_only(root) { ArchiveError::ReadOnlyRoot } else { ArchiveError::ReadOnlyVolume })
}

/// A directory's time, and the ACL that it hands down, which are set when nothing is made in it any more.
struct Late {
    path: Vec<Vec<u8>>,
    mtime: (i64, u32),
    default_acl: Option<Vec<u8>>,
}

struct Unpacker<'a> {
    root: BorrowedFd<'a>,
    /// Where the directory is in the root.
    base: Vec<Vec<u8>>,
    options: &'a Unpack,
    /// `None`: the archive's.
    owner: Option<(u32, u32)>,
    late: Vec<Late>,
    late_bytes: usize,
}

impl Unpacker<'_> {
    fn apply(
        &mut self,
        mut entry: Entry,
        tar: &mut TarReader<impl std::io::BufRead>,
    ) -> Result<(), ArchiveError> {
        let components = self.place(&entry.path)?;
        let Some((name, parents)) = components.split_last() else { return Ok(()) };
        if self.options.guard {
            guard(&mut entry, &components)?;
        }
        let metadata = self.metadata(&entry)?;
        let parent = self.directory(parents, &entry.path)?;
        let parent = parent.as_fd();
        let failed = |what, errno: Errno| ArchiveError::failed(what, &entry.path, errno);
        self.make_room(parent, name, &entry)?;
        match entry.kind {
            Kind::Directory => {
                match mkdirat(parent, name.as_slice(), Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed("create the directory", errno)),
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = openat(parent, name.as_slice(), flags, Mode::empty())
                    .map_err(|errno| failed("open the directory", errno))?;
                metadata.apply(fd.as_fd()).map_err(|errno| failed("set the attributes of", errno))?;
                self.later(components, metadata)?;
            }
            Kind::File => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(parent, name.as_slice(), flags, Mode::RUSR | Mode::WUSR)
                    .map(File::from)
                    .map_err(|errno| failed("create", errno))?;
                sandbox_tar::write_data(&file, &entry, tar).map_err(|error| match error {
                    DataError::Tar(error) => ArchiveError::Failed(format!("the archive: {error}")),
                    DataError::Write(error) => ArchiveError::failed("write", &entry.path, error),
                })?;
                metadata.apply(file.as_fd()).map_err(|errno| failed("set the attributes of", errno))?;
            }
            Kind::HardLink => {
                let target = self.place(&entry.link)?;
                let missing = || ArchiveError::refused(&entry.path, "is a hard link to nothing");
                let (from, from_parents) = target.split_last().ok_or_else(missing)?;
                let from_parent = self.existing(from_parents).map_err(|errno| failed("link", errno))?;
                linkat(from_parent, from.as_slice(), parent, name.as_slice(), AtFlags::empty())
                    .map_err(|errno| failed("link", errno))?;
            }
            Kind::Symlink => {
                symlinkat(entry.link.as_slice(), parent, name.as_slice())
                    .map_err(|errno| failed("create the link", errno))?;
                metadata
                    .apply_named(parent, name, false)
                    .map_err(|errno| failed("set the owner of", errno))?;
            }
            Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => {
                let (kind, device) = match entry.kind {
                    Kind::Fifo => (FileType::Fifo, 0),
                    Kind::BlockDevice => (FileType::BlockDevice, makedev(entry.device.0, entry.device.1)),
                    _ => (FileType::CharacterDevice, makedev(entry.device.0, entry.device.1)),
                };
                mknodat(parent, name.as_slice(), kind, Mode::empty(), device)
                    .map_err(|errno| failed("create", errno))?;
                metadata
                    .apply_named(parent, name, true)
                    .map_err(|errno| failed("set the owner of", errno))?;
            }
        }
        Ok(())
    }

    /// The components of a name of the archive, below the directory; none for the directory itself.
    fn place(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, ArchiveError> {
        let outside = || ArchiveError::Failed(format!("{:?} is outside of the destination", shown(path)));
        let mut components: Vec<Vec<u8>> = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b".." if components.pop().is_none() => return Err(outside()),
                b"" | b"." | b".." => {}
                part if part.contains(&0) => {
                    return Err(ArchiveError::refused(path, "has a NUL in its name"));
                }
                part => components.push(part.to_vec()),
            }
        }
        if components.len() > DEPTH {
            return Err(ArchiveError::refused(path, "is nested deeper than 256 directories"));
        }
        let Some(rename) = &self.options.rename else { return Ok(components) };
        let to = rename.to.as_bytes().to_vec();
        if matches!(rename.from.as_str(), "." | "/") {
            components.insert(0, to);
        } else {
            match components.first_mut() {
                Some(first) if *first == rename.from.as_bytes() => *first = to,
                _ => return Err(ArchiveError::refused(path, "is not what was asked for")),
            }
        }
        Ok(components)
    }

    fn whole(&self, components: &[Vec<u8>]) -> Vec<u8> {
        let mut path = b"/".to_vec();
        for component in self.base.iter().chain(components) {
            path.extend_from_slice(component);
            path.push(b'/');
        }
        path
    }

    /// The directory at `components`, made where it is missing.
    fn directory(&self, components: &[Vec<u8>], whole: &[u8]) -> Result<OwnedFd, ArchiveError> {
        let path = self.whole(components);
        sys::path::directory(self.root, Path::new(std::ffi::OsStr::from_bytes(&path)))
            .map_err(|errno| ArchiveError::failed("make the directory of", whole, errno))
    }

    fn existing(&self, components: &[Vec<u8>]) -> rustix::io::Result<OwnedFd> {
        let path = self.whole(components);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        sys::path::open(self.root, Path::new(std::ffi::OsStr::from_bytes(&path)), flags)
    }

    fn metadata(&self, entry: &Entry) -> Result<Metadata, ArchiveError> {
        let id = |id: u64| {
            let out_of_range = || ArchiveError::refused(&entry.path, "has a user or group id out of range");
            u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(out_of_range)
        };
        let (uid, gid) = match self.owner {
            None => (id(entry.uid)?, id(entry.gid)?),
            Some(owner) => owner,
        };
        let overlay = |name: &[u8]| name.starts_with(b"user.overlay.");
        let xattrs = entry.xattrs.iter().filter(|(name, _)| metadata::is_of_image(name) && !overlay(name));
        Ok(Metadata { uid, gid, mode: entry.mode, mtime: entry.mtime, xattrs: xattrs.cloned().collect() })
    }

    /// Takes away what is in the way of the entry.
    fn make_room(&self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), ArchiveError> {
        let found = match Place::child(parent, name) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(ArchiveError::failed("look up", &entry.path, errno)),
        };
        let path = shown(&entry.path);
        match (found.is_directory(), entry.kind == Kind::Directory) {
            (true, true) => return Ok(()),
            (true, false) if self.options.no_overwrite_dir_non_dir => {
                return Err(ArchiveError::Failed(format!(
                    "cannot overwrite directory {path:?} with non-directory {path:?}"
                )));
            }
            (false, true) if self.options.no_overwrite_dir_non_dir => {
                return Err(ArchiveError::Failed(format!(
                    "cannot overwrite non-directory {path:?} with directory {path:?}"
                )));
            }
            _ => {}
        }
        remove(parent, name, DEPTH).map_err(|errno| ArchiveError::failed("replace", &entry.path, errno))
    }

    fn later(&mut self, path: Vec<Vec<u8>>, metadata: Metadata) -> Result<(), ArchiveError> {
        self.late_bytes += path.iter().map(|part| part.len() + size_of::<Vec<u8>>()).sum::<usize>();
        if self.late_bytes > LATE {
            return Err(ArchiveError::Failed("the archive has too many directories".to_owned()));
        }
        let default_acl =
            metadata.xattrs.into_iter().find(|(name, _)| name == DEFAULT_ACL).map(|(_, value)| value);
        self.late.push(Late { path, mtime: metadata.mtime, default_acl });
        Ok(())
    }

    fn finish(self) -> Result<(), ArchiveError> {
        for late in &self.late {
            let directory = match self.existing(&late.path) {
                Ok(directory) => directory,
                // Replaced by a later entry, or by the container.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(errno) => {
                    return Err(ArchiveError::failed("open", &self.whole(&late.path), errno));
                }
            };
            let set = || {
                if let Some(acl) = &late.default_acl {
                    metadata::set_xattr(directory.as_fd(), DEFAULT_ACL, acl)?;
                }
                rustix::fs::futimens(&directory, &metadata::times(late.mtime))
            };
            set().map_err(|errno| ArchiveError::failed("set the time of", &self.whole(&late.path), errno))?;
        }
        Ok(())
    }
}

//! Applies the entries of one layer's tar to a directory, in the form that overlayfs reads.
//!
//! Refused: paths that are absolute, contain `..` or leave the image through a symbolic link; hard links to what is not
//! in the image; devices that reach the machine (only the harmless ones of `/dev` are made; others below `dev/`, which
//! every container covers with its own, are left out); attributes that control overlayfs; a root that is no directory.

use std::fs::File;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, mkdirat, mknodat, openat, symlinkat};
use rustix::io::Errno;
use sandbox_tar::metadata::{self, DEFAULT_ACL, Metadata};

use super::tree::{Lower, Tree};
use super::whiteout::{self, Name};
use super::{LayerError, Refusal, data, device, entry_error, fs, path, refused, tar_error};
use sandbox_tar::{DataError, Entry, Kind, TarReader};

const NOT_THERE: &str = "is a hard link to what is not in the image";

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extracted {
    /// Bytes of all files.
    pub(super) size: u64,
    pub(super) entries: u64,
    /// The archive describes the root directory.
    pub(super) has_root: bool,
}

/// Unpacks the entries of `tar` into `top`; files may take `limit` bytes together.
pub(super) fn extract<R: BufRead>(
    tar: &mut TarReader<R>,
    top: OwnedFd,
    lower: &Lower<'_>,
    limit: u64,
) -> Result<Extracted, LayerError> {
    let mut extractor = Extractor {
        tree: Tree::new(top, lower),
        directories: Vec::new(),
        root_is_opaque: false,
        done: Extracted::default(),
        limit,
    };
    while let Some(entry) = tar.next_entry().map_err(tar_error)? {
        extractor.apply(&entry, tar)?;
    }
    extractor.finish(lower)
}

/// A directory's time, and the ACL that it hands down, which are set when nothing is made in it any more.
struct Late {
    path: Vec<u8>,
    mtime: (i64, u32),
    default_acl: Option<Vec<u8>>,
}

struct Extractor<'a> {
    tree: Tree<'a>,
    directories: Vec<Late>,
    root_is_opaque: bool,
    done: Extracted,
    limit: u64,
}

impl Extractor<'_> {
    fn apply<R: BufRead>(&mut self, entry: &Entry, tar: &mut TarReader<R>) -> Result<(), LayerError> {
        let components = path::components(&entry.path).map_err(|refusal| refused(&entry.path, refusal))?;
        self.done.entries += 1;
        self.done.size = self.done.size.saturating_add(entry.size);
        if self.done.size > self.limit {
            return Err(LayerError::Bomb { limit: format!("{} bytes of files", self.limit) });
        }
        let metadata = admit(entry)?;
        let Some((name, parents)) = components.split_last() else {
            return self.root(entry, metadata);
        };
        match whiteout::classify(&components).map_err(|refusal| refused(&entry.path, refusal))? {
            Name::Ignored => return Ok(()),
            Name::Opaque => return self.opaque(parents, &entry.path),
            Name::Whiteout(name) => return self.whiteout(parents, name, &entry.path),
            Name::Plain => {}
        }
        let is_device = matches!(entry.kind, Kind::CharacterDevice | Kind::BlockDevice);
        if is_device && !device::is_harmless(entry.kind, entry.device) {
            return device::skip(entry, &components);
        }
        let parent = self.tree.directory(parents)?;
        let parent = parent.as_fd();
        let failed = |action, errno| entry_error(&entry.path, action, errno);
        match entry.kind {
            Kind::Directory => self.make_directory(parent, name, &components, metadata, &entry.path)?,
            Kind::File => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::RUSR | Mode::WUSR;
                let file = self
                    .replacing(parent, name, || openat(parent, *name, flags, mode))
                    .map_err(|errno| failed("create", errno))?;
                let file = File::from(file);
                sandbox_tar::write_data(&file, entry, tar).map_err(|error| match error {
                    DataError::Tar(error) => tar_error(error),
                    DataError::Write(error) => entry_error(&entry.path, "write", error),
                })?;
                metadata.apply(file.as_fd()).map_err(|errno| failed("set the attributes of", errno))?;
            }
            Kind::HardLink => self.hard_link(parent, name, entry)?,
            Kind::Symlink => {
                self.replacing(parent, name, || symlinkat(entry.link.as_slice(), parent, *name))
                    .map_err(|errno| failed("create", errno))?;
                metadata
                    .apply_named(parent, name, false)
                    .map_err(|errno| failed("set the owner of", errno))?;
            }
            Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => {
                let (kind, device) = match entry.kind {
                    Kind::Fifo => (FileType::Fifo, 0),
                    _ => (FileType::CharacterDevice, rustix::fs::makedev(entry.device.0, entry.device.1)),
                };
                self.replacing(parent, name, || mknodat(parent, *name, kind, Mode::empty(), device))
                    .map_err(|errno| failed("create", errno))?;
                metadata
                    .apply_named(parent, name, true)
                    .map_err(|errno| failed("set the owner of", errno))?;
            }
        }
        Ok(())
    }

    fn root(&mut self, entry: &Entry, metadata: Metadata) -> Result<(), LayerError> {
        if entry.kind != Kind::Directory {
            return Err(refused(&entry.path, Refusal("would replace the image's root")));
        }
        metadata
            .apply(self.tree.root())
            .map_err(|errno| entry_error(&entry.path, "set the attributes of", errno))?;
        self.done.has_root = true;
        self.later(b".".to_vec(), metadata);
        Ok(())
    }

    fn make_directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        components: &[&[u8]],
        metadata: Metadata,
        whole: &[u8],
    ) -> Result<(), LayerError> {
        let failed = |action, errno| entry_error(whole, action, errno);
        let mode = Mode::RWXU;
        let mut replaces = false;
        match mkdirat(parent, name, mode) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let found = fs::stat(parent, name).map_err(|errno| failed("look up", errno))?;
                replaces = found.is_none_or(|found| fs::kind(&found) != FileType::Directory);
                if replaces {
                    self.replacing(parent, name, || mkdirat(parent, name, mode))
                        .map_err(|errno| failed("replace", errno))?;
                }
            }
            Err(errno) => return Err(failed("create", errno)),
        }
        let directory = fs::open_directory(parent, name).map_err(|errno| failed("open", errno))?;
        if replaces {
            // What was there hid the directory of the layers below.
            fs::set_opaque(directory.as_fd()).map_err(|errno| failed("mark as opaque", errno))?;
        }
        metadata.apply(directory.as_fd()).map_err(|errno| failed("set the attributes of", errno))?;
        self.later(path::join(components), metadata);
        Ok(())
    }

    fn later(&mut self, path: Vec<u8>, metadata: Metadata) {
        let default_acl =
            metadata.xattrs.into_iter().find(|(name, _)| name == DEFAULT_ACL).map(|(_, value)| value);
        self.directories.push(Late { path, mtime: metadata.mtime, default_acl });
    }

    /// Makes something at a name that may be taken: the later entry wins, as in Docker.
    fn replacing<T>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                fs::remove(parent, name)?;
                self.tree.forget();
                make()
            }
            other => other,
        }
    }

    /// overlayfs does not merge a link with what it links to in another layer, so a file of a layer below is first
    /// copied to its place in this one, as overlayfs would on such a link.
    fn hard_link(&mut self, parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), LayerError> {
        let failed = |action, errno| entry_error(&entry.path, action, errno);
        let missing = Refusal(NOT_THERE);
        let (directory, target_name) = self.link_target(entry)?;
        let found = fs::stat(directory.as_fd(), &target_name)
            .map_err(|errno| failed("look up the target of", errno))?
            .ok_or_else(|| refused(&entry.path, missing))?;
        if fs::kind(&found) == FileType::Directory {
            return Err(refused(&entry.path, Refusal("is a hard link to a directory")));
        }
        let existing = fs::stat(parent, name).map_err(|errno| failed("look up", errno))?;
        if existing.is_some_and(|existing| (existing.st_dev, existing.st_ino) == (found.st_dev, found.st_ino))
        {
            return Ok(());
        }
        self.replacing(parent, name, || {
            linkat(&directory, target_name.as_slice(), parent, name, AtFlags::empty())
        })
        .map_err(|errno| failed("link", errno))
    }

    /// The directory in this layer that holds the target of a hard link, and its name there.
    fn link_target(&mut self, entry: &Entry) -> Result<(Rc<OwnedFd>, Vec<u8>), LayerError> {
        let target = path::components(&entry.link).map_err(|_| {
            refused(&entry.path, Refusal("is a hard link with an absolute target or \"..\" in it"))
        })?;
        let missing = || refused(&entry.path, Refusal(NOT_THERE));
        let (name, parents) = target.split_last().ok_or_else(missing)?;
        if let Ok(directory) = fs::open_beneath(self.tree.root(), &path::join(parents))
            && matches!(fs::stat(directory.as_fd(), name), Ok(Some(found)) if !fs::is_whiteout(&found))
        {
            return Ok((Rc::new(directory), name.to_vec()));
        }
        let located = self.tree.locate(&target)?.ok_or_else(missing)?;
        let (name, parents) = located.path.split_last().ok_or_else(missing)?;
        let parents: Vec<&[u8]> = parents.iter().map(Vec::as_slice).collect();
        let directory = self.tree.directory(&parents)?;
        if !located.in_top {
            data::copy_up(located.directory.as_fd(), directory.as_fd(), name)
                .map_err(|errno| entry_error(&entry.path, "copy the target of", errno))?;
        }
        Ok((directory, name.clone()))
    }

    fn opaque(&mut self, parents: &[&[u8]], whole: &[u8]) -> Result<(), LayerError> {
        if parents.is_empty() {
            self.root_is_opaque = true;
            return fs::set_opaque(self.tree.root())
                .map_err(|errno| entry_error(whole, "mark the root of", errno));
        }
        let directory = self.tree.directory(parents)?;
        fs::set_opaque(directory.as_fd()).map_err(|errno| whiteout::error(whole, errno))
    }

    /// A whiteout is about the layers below only: what this layer itself has there stays (OCI image-spec, layer.md).
    fn whiteout(&mut self, parents: &[&[u8]], name: &[u8], whole: &[u8]) -> Result<(), LayerError> {
        let parent = self.tree.directory(parents)?;
        whiteout::hide(parent.as_fd(), name).map_err(|errno| whiteout::error(whole, errno))
    }

    fn finish(mut self, lower: &Lower<'_>) -> Result<Extracted, LayerError> {
        if self.root_is_opaque {
            for layer in lower()? {
                whiteout::hide_all(self.tree.root(), layer.as_fd())
                    .map_err(|errno| whiteout::error(b".", errno))?;
            }
        }
        let implied = std::mem::take(&mut self.tree.implied);
        let implied = implied.into_iter().map(|(path, mtime)| Late { path, mtime, default_acl: None });
        let explicit = std::mem::take(&mut self.directories);
        for late in implied.chain(explicit) {
            let failed = |errno| entry_error(&late.path, "set the time of", errno);
            let directory = match fs::open_beneath(self.tree.root(), &late.path) {
                Ok(directory) => directory,
                // Replaced by a later entry.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            if let Some(acl) = late.default_acl {
                metadata::set_xattr(directory.as_fd(), DEFAULT_ACL, &acl).map_err(failed)?;
            }
            rustix::fs::futimens(&directory, &metadata::times(late.mtime)).map_err(failed)?;
        }
        Ok(self.done)
    }
}

fn admit(entry: &Entry) -> Result<Metadata, LayerError> {
    let refuse = |reason| refused(&entry.path, Refusal(reason));
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    if entry.link.contains(&0) {
        return Err(refuse("has a NUL in its target"));
    }
    Ok(Metadata {
        uid: id(entry.uid).ok_or_else(|| refuse("has a user id out of range"))?,
        gid: id(entry.gid).ok_or_else(|| refuse("has a group id out of range"))?,
        mode: entry.mode,
        mtime: entry.mtime,
        xattrs: metadata::admit(entry.xattrs.clone()).map_err(refuse)?,
    })
}

//! A tree as a tar: depth first, names in the order of their bytes, so that equal trees are equal archives.
//!
//! Hard links within the tree stay links; sockets are left out, as in Docker; what the kernel makes up (/proc, /sys) is
//! an empty directory.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Stat, major, minor};
use rustix::io::Errno;
use sandbox_tar::{Entry, Kind, TarWriter, Xattrs, metadata};

use super::ArchiveError;
use super::layer::{is_opaque, is_whiteout_file, opaque, removed};
use super::open::{Place, names};
use super::resolve::{base_name, resolve};

/// Directories above each other: each costs a descriptor.
pub(super) const DEPTH: usize = 256;
/// `PATH_MAX`, its terminator not included.
const PATH: usize = 4095;
/// Files with several names that are remembered; further ones are packed once per name.
const LINKS: usize = 1 << 20;
const BUFFER: usize = 64 << 10;

/// Magic numbers of file systems whose files are no data (linux/magic.h).
const MADE_UP: [u32; 12] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6367_7270, // cgroup2
    0x0027_e0eb, // cgroup
    0x1cd1,      // devpts
    0x1980_0202, // mqueue
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
];

/// Where the walk ends besides at leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// File systems of the kernel's own are left out.
    Container,
    /// Everything mounted is left out.
    OneMount,
    /// An overlay's upper directory: its marks become an image layer's.
    Layer,
}

/// Packs what is at `path` in `root`; at the top of the archive is [`base_name`] of the path. With `follow` it is what a
/// link in the last component leads to. The bytes of the archive come back, extended headers not counted.
pub fn pack(root: BorrowedFd<'_>, path: &str, follow: bool, out: impl Write) -> Result<u64, ArchiveError> {
    let place = resolve(root, path, follow)?.found(path)?;
    let name = base_name(path);
    let mut packer = Packer::new(Scope::Container, out);
    if place.is_directory() {
        // A slash at the end, and one only.
        let name = if name == "/" { b"/".to_vec() } else { [name.as_bytes(), b"/"].concat() };
        packer.directory(&place, &name)?;
        packer.tree(place, name)?;
    } else {
        packer.leaf(&place, name.into_bytes())?;
    }
    packer.finish()
}

/// Packs everything below `root` that is on its own mount; the root itself has no entry.
pub fn pack_tree(root: BorrowedFd<'_>, out: impl Write) -> Result<u64, ArchiveError> {
    whole(Scope::OneMount, root, out)
}

/// Packs an overlay's upper directory as an image layer: removed names and opaque directories become whiteouts (OCI
/// image-spec, layer.md).
pub fn pack_layer(upper: BorrowedFd<'_>, out: impl Write) -> Result<u64, ArchiveError> {
    whole(Scope::Layer, upper, out)
}

fn whole(scope: Scope, root: BorrowedFd<'_>, out: impl Write) -> Result<u64, ArchiveError> {
    let root = rustix::io::fcntl_dupfd_cloexec(root, 3).and_then(Place::of);
    let root = root.map_err(|errno| ArchiveError::failed("open", b"/", errno))?;
    let mut packer = Packer::new(scope, out);
    packer.tree(root, Vec::new())?;
    packer.finish()
}

/// A directory that the walk is in.
struct Level {
    fd: OwnedFd,
    /// What precedes the names in it.
    prefix: Vec<u8>,
    names: std::vec::IntoIter<Vec<u8>>,
    device: u64,
}

struct Packer<W: Write> {
    tar: TarWriter<BufWriter<W>>,
    scope: Scope,
    /// The first name of files that have several.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Packer<W> {
    fn new(scope: Scope, out: W) -> Self {
        Self { tar: TarWriter::new(BufWriter::with_capacity(BUFFER, out)), scope, links: HashMap::new() }
    }

    fn finish(self) -> Result<u64, ArchiveError> {
        let size = self.tar.plain_size();
        self.tar.finish().map_err(written)?;
        Ok(size)
    }

    /// Everything below a directory.
    fn tree(&mut self, top: Place, prefix: Vec<u8>) -> Result<(), ArchiveError> {
        let mut levels = vec![level(&top, prefix)?];
        drop(top);
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let mut path = [level.prefix.as_slice(), &name].concat();
            if path.len() >= PATH {
                return Err(ArchiveError::refused(&path, "has a path longer than 4095 bytes"));
            }
            let (child, mounted) = match Place::child_beneath(level.fd.as_fd(), &name) {
                Ok((child, mounted)) => (child, mounted && self.scope != Scope::Container),
                // It went away since its name was read.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(ArchiveError::failed("look up", &path, errno)),
            };
            if !child.is_directory() {
                self.leaf(&child, path)?;
                continue;
            }
            path.push(b'/');
            self.directory(&child, &path)?;
            if mounted || child.stat.st_dev != level.device && is_made_up(&child) {
                continue;
            }
            if levels.len() >= DEPTH {
                return Err(ArchiveError::refused(&path, "is nested deeper than 256 directories"));
            }
            levels.push(self::level(&child, path)?);
        }
        Ok(())
    }

    fn directory(&mut self, place: &Place, path: &[u8]) -> Result<(), ArchiveError> {
        let failed = |errno| ArchiveError::failed("read the attributes of", path, errno);
        let fd = place.open_directory().map_err(failed)?;
        let mut entry = entry(&place.stat, Kind::Directory, path.to_vec());
        entry.xattrs = xattrs(fd.as_fd()).map_err(failed)?;
        self.tar.entry(&entry).map_err(written)?;
        if self.scope == Scope::Layer && is_opaque(fd.as_fd()).map_err(failed)? {
            self.tar.entry(&opaque(path)).map_err(written)?;
        }
        Ok(())
    }

    fn leaf(&mut self, place: &Place, path: Vec<u8>) -> Result<(), ArchiveError> {
        let stat = &place.stat;
        let kind = match place.kind() {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice if self.scope == Scope::Layer && stat.st_rdev == 0 => {
                return self.tar.entry(&removed(&path)).map_err(written);
            }
            FileType::CharacterDevice => Kind::CharacterDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            _ => return Ok(()),
        };
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                let mut entry = entry(stat, Kind::HardLink, path);
                entry.link.clone_from(first);
                return self.tar.entry(&entry).map_err(written);
            }
            if self.links.len() < LINKS {
                self.links.insert(key, path.clone());
            }
        }
        let failed = |errno| ArchiveError::failed("read", &path, errno);
        let mut entry = entry(stat, kind, path.clone());
        match kind {
            Kind::File => {
                let mut file = place.open_file().map_err(failed)?;
                if self.scope == Scope::Layer && is_whiteout_file(stat, file.as_fd()).map_err(failed)? {
                    return self.tar.entry(&removed(&path)).map_err(written);
                }
                entry.xattrs = xattrs(file.as_fd()).map_err(failed)?;
                entry.size = stat.st_size as u64;
                self.tar.file(&entry, &mut file).map_err(written)
            }
            Kind::Symlink => {
                entry.link = place.link_target().map_err(failed)?;
                self.tar.entry(&entry).map_err(written)
            }
            _ => {
                if kind != Kind::Fifo {
                    entry.device = (major(stat.st_rdev), minor(stat.st_rdev));
                }
                self.tar.entry(&entry).map_err(written)
            }
        }
    }
}

fn level(place: &Place, prefix: Vec<u8>) -> Result<Level, ArchiveError> {
    let open = || {
        let fd = place.open_directory()?;
        let names = names(fd.as_fd())?;
        Ok((fd, names))
    };
    match open() {
        Ok((fd, names)) => Ok(Level { fd, prefix, names: names.into_iter(), device: place.stat.st_dev }),
        Err(Errno::FBIG) => Err(ArchiveError::refused(&prefix, "has more than 1048576 names in it")),
        Err(errno) => Err(ArchiveError::failed("read the directory", &prefix, errno)),
    }
}

pub(super) fn is_made_up(place: &Place) -> bool {
    rustix::fs::fstatfs(&place.fd).is_ok_and(|found| MADE_UP.contains(&(found.f_type as u32)))
}

fn entry(stat: &Stat, kind: Kind, path: Vec<u8>) -> Entry {
    Entry {
        path,
        kind,
        link: Vec::new(),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid.into(),
        gid: stat.st_gid.into(),
        mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
        device: (0, 0),
        xattrs: Vec::new(),
        size: 0,
        sparse: None,
    }
}

fn xattrs(file: BorrowedFd<'_>) -> rustix::io::Result<Xattrs> {
    let mut xattrs = metadata::xattrs(file)?;
    xattrs.retain(|(name, _)| metadata::is_of_image(name));
    Ok(xattrs)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn written(error: std::io::Error) -> ArchiveError {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => ArchiveError::Closed,
        _ => ArchiveError::Failed(format!("write the archive: {error}")),
    }
}

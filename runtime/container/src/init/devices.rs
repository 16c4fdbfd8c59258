//! Device nodes and the usual links in /dev.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{AtFlags, Dev, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;

use crate::error::{Context, Error};
use crate::sys::mount::{attach, clone_tree};
use crate::sys::path::{self, Missing};

/// One node to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    path: PathBuf,
    kind: FileType,
    number: Dev,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// What the OCI spec promises in every container: name, major, minor.
const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

impl Device {
    pub(crate) fn new(device: &LinuxDevice) -> Result<Self, Error> {
        let path = device.path().clone();
        let number = |value: i64| {
            u32::try_from(value).map_err(|_| {
                Error::spec(format!("linux.devices: {}: number {value} is out of range", path.display()))
            })
        };
        let kind = match device.typ() {
            LinuxDeviceType::B => FileType::BlockDevice,
            LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
            LinuxDeviceType::P => FileType::Fifo,
            LinuxDeviceType::A => {
                return Err(Error::spec(format!("linux.devices: {}: type is missing", path.display())));
            }
        };
        let number = if kind == FileType::Fifo {
            0
        } else {
            makedev(number(device.major())?, number(device.minor())?)
        };
        Ok(Device {
            kind,
            number,
            mode: device.file_mode().unwrap_or(0o666) & 0o7777,
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
            path,
        })
    }

    fn is_at(&self, name: &str) -> bool {
        self.path == Path::new("/dev").join(name)
    }

    /// `bind`: nodes made in a user namespace cannot be opened, the host's can be mounted.
    fn make(&self, root: BorrowedFd<'_>, dev: BorrowedFd<'_>, bind: bool) -> Result<(), Error> {
        let parent: Option<OwnedFd>;
        let name = self.path.file_name().ok_or_else(|| {
            Error::spec(format!("linux.devices: \"{}\" is not the path of a file", self.path.display()))
        })?;
        let directory = match self.path.parent() {
            Some(directory) if directory != Path::new("/dev") => {
                parent = Some(path::create(root, directory, Missing::Directory)?);
                parent.as_ref().map_or(dev, AsFd::as_fd)
            }
            _ => dev,
        };
        let doing = || format!("make device {}", self.path.display());
        if bind && self.kind != FileType::Fifo {
            return self.bind(directory, Path::new(name));
        }
        match rustix::fs::mknodat(directory, name, self.kind, Mode::from_raw_mode(self.mode), self.number) {
            Ok(()) if (self.uid, self.gid) != (0, 0) => {
                let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
                rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                    .context(doing)
            }
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => self.check_existing(directory, Path::new(name)),
            Err(Errno::PERM) => self.bind(directory, Path::new(name)),
            Err(errno) => Err(errno).context(doing),
        }
    }

    fn check_existing(&self, directory: BorrowedFd<'_>, name: &Path) -> Result<(), Error> {
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .context(|| format!("stat {}", self.path.display()))?;
        if FileType::from_raw_mode(stat.st_mode) == self.kind && stat.st_rdev == self.number {
            return Ok(());
        }
        Err(Error::Refused(format!("{} is there already and is another file", self.path.display())))
    }

    fn bind(&self, directory: BorrowedFd<'_>, name: &Path) -> Result<(), Error> {
        let doing = || format!("mount the host's device {}", self.path.display());
        // The paths of the host are still in force; the file's number is what counts.
        let tree = clone_tree(rustix::fs::CWD, &self.path, false).context(doing)?;
        let stat = rustix::fs::fstat(&tree).context(doing)?;
        if FileType::from_raw_mode(stat.st_mode) != self.kind || stat.st_rdev != self.number {
            return Err(Error::Refused(format!("the host's {} is another device", self.path.display())));
        }
        let target = path::create(directory, name, Missing::File)?;
        attach(tree.as_fd(), target.as_fd()).context(doing)
    }
}

/// Makes the nodes of the spec, those of every container, and the links. Runs before the root is entered.
pub(crate) fn make(root: BorrowedFd<'_>, devices: &[Device], bind: bool) -> Result<(), Error> {
    let dev = path::create(root, Path::new("/dev"), Missing::Directory)?;
    for (name, major, minor) in DEFAULT {
        if !devices.iter().any(|device| device.is_at(name)) {
            let path = Path::new("/dev").join(name);
            let (kind, number) = (FileType::CharacterDevice, makedev(major, minor));
            Device { path, kind, number, mode: 0o666, uid: 0, gid: 0 }.make(root, dev.as_fd(), bind)?;
        }
    }
    for device in devices {
        device.make(root, dev.as_fd(), bind)?;
    }
    for (target, name) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Ok(()) => {}
            Err(Errno::EXIST) if name != "ptmx" => {}
            // A node of the host's instance, say from the image, would reach the host's terminals.
            Err(Errno::EXIST) => replace_ptmx(dev.as_fd())?,
            Err(errno) => return Err(errno).context(|| format!("link /dev/{name}")),
        }
    }
    if rustix::fs::access("/proc/kcore", rustix::fs::Access::EXISTS).is_ok() {
        match rustix::fs::symlinkat("/proc/kcore", &dev, "core") {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).context(|| "link /dev/core"),
        }
    }
    Ok(())
}

fn replace_ptmx(dev: BorrowedFd<'_>) -> Result<(), Error> {
    if rustix::fs::readlinkat(dev, "ptmx", Vec::new()).is_ok_and(|target| target.as_bytes() == b"pts/ptmx") {
        return Ok(());
    }
    rustix::fs::unlinkat(dev, "ptmx", AtFlags::empty()).context(|| "remove the image's /dev/ptmx")?;
    rustix::fs::symlinkat("pts/ptmx", dev, "ptmx").context(|| "link /dev/ptmx")
}

/// The container's null device as a place, else the host's. By its number, not by its name: what the
/// image puts there is not trusted (CVE-2025-31133).
pub(crate) fn null_place(root: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    match path::open_place(root, Path::new("/dev/null")) {
        Ok(null) if is_null(null.as_fd()) => Ok(null),
        _ => open_null(OFlags::PATH),
    }
}

/// The host's null device.
pub(crate) fn open_null(flags: OFlags) -> Result<OwnedFd, Error> {
    let null =
        rustix::fs::open("/dev/null", flags | OFlags::CLOEXEC, Mode::empty()).context(|| "open /dev/null")?;
    if is_null(null.as_fd()) {
        Ok(null)
    } else {
        Err(Error::Refused("/dev/null is not the null device".to_owned()))
    }
}

fn is_null(place: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(place).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
    })
}

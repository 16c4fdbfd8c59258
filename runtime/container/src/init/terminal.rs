//! A pseudo-terminal of the container's own devpts.
//!
//! The slave is opened through the master (TIOCGPTPEER) and mounted on /dev/console by descriptor: no
//! path that the container could change in between is used (CVE-2025-52565).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, OFlags, makedev};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::error::{Context, Error};
use crate::sys::mount::{attach, clone_tree};
use crate::sys::path::{self, Missing};

/// DEVPTS_SUPER_MAGIC of `linux/magic.h`.
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// Both ends of a terminal.
pub(crate) struct Terminal {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

impl Terminal {
    /// Opens a pair from the devpts at /dev/pts of `root`.
    pub(crate) fn open(root: BorrowedFd<'_>, rows: u16, cols: u16) -> Result<Terminal, Error> {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let opening = || "open a terminal (/dev/pts/ptmx of the container)";
        let place = path::open_place(root, Path::new("/dev/pts/ptmx")).context(opening)?;
        let stat = rustix::fs::fstat(&place).context(opening)?;
        let is_devpts = rustix::fs::fstatfs(&place).is_ok_and(|stat| stat.f_type as u64 == DEVPTS_MAGIC);
        let is_ptmx = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(5, 2);
        if !is_devpts || !is_ptmx {
            return Err(Error::Refused(
                "/dev/pts/ptmx of the container is not the terminal multiplexer".to_owned(),
            ));
        }
        let master = path::open(root, Path::new("/dev/pts/ptmx"), flags).context(opening)?;
        let opened = rustix::fs::fstat(&master).context(opening)?;
        if (opened.st_dev, opened.st_ino) != (stat.st_dev, stat.st_ino) {
            return Err(Error::Refused(
                "/dev/pts/ptmx of the container changed while it was opened".to_owned(),
            ));
        }
        unlockpt(&master).context(|| "unlock the terminal")?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags).context(|| "open the terminal's other end")?;
        if rows != 0 || cols != 0 {
            let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&master, size).context(|| "set the terminal's size")?;
        }
        Ok(Terminal { master, slave })
    }

    /// Mounts the terminal on /dev/console.
    pub(crate) fn mount_console(&self, root: BorrowedFd<'_>) -> Result<(), Error> {
        let target = path::create(root, Path::new("/dev/console"), Missing::File)?;
        let doing = || "mount the terminal on /dev/console";
        let mount = clone_tree(self.slave.as_fd(), Path::new(""), false).context(doing)?;
        attach(mount.as_fd(), target.as_fd()).context(doing)
    }
}

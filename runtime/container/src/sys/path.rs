//! Paths of the image, resolved and created beneath its root by descriptor.
//!
//! Everything goes through openat2 with RESOLVE_IN_ROOT and NO_MAGICLINKS: a link that points out of
//! the rootfs, absolute or through `..`, ends inside it, and /proc's magic links are never followed.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Context, Error};

/// As many links as the kernel follows.
pub(crate) const MAX_LINKS: usize = 40;

/// Opens `path` in `root` as a place (O_PATH), following links inside.
pub(crate) fn open_place(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    open(root, path, OFlags::PATH)
}

/// Opens `path` in `root`, following links inside.
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    retry(|| rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve))
}

/// Opens `path` in `root` as a place that is reached through no link at all.
pub(crate) fn open_plain(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    retry(|| rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve))
}

/// openat2 answers EAGAIN when a rename raced with a `..`.
fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..128 {
        match call() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// What to make when a path is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Directory,
    File,
}

/// Opens `path` in `root` as a place; makes it, and the directories on the way (mode 0755), when it is not there.
/// Dangling links are followed as if their targets' directories were to be made, too.
pub(crate) fn create(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<OwnedFd, Error> {
    match open_place(root, path) {
        Err(Errno::NOENT) => {}
        result => return result.context(|| format!("open {} in the rootfs", path.display())),
    }
    walk(root, path, missing).context(|| format!("create {} in the rootfs", path.display()))
}

/// The directory `path` in `root`, made with what is missing on the way.
pub(crate) fn directory(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    match open(root, path, OFlags::PATH | OFlags::DIRECTORY) {
        Err(Errno::NOENT) => walk(root, path, Missing::Directory),
        result => result,
    }
}

fn walk(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<OwnedFd, Errno> {
    let mut todo: Vec<OsString> = Vec::new();
    push_components(&mut todo, path);
    let mut trail: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == "/" {
            trail.clear();
            continue;
        }
        if name == ".." {
            trail.pop();
            continue;
        }
        let here = trail.last().map_or(root, AsFd::as_fd);
        let last = todo.is_empty();
        let next = open_or_make(here, &name, if last { missing } else { Missing::Directory })?;
        match FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                push_components(&mut todo, Path::new(OsStr::from_bytes(target.as_bytes())));
            }
            FileType::Directory => trail.push(next),
            _ if last => return Ok(next),
            _ => return Err(Errno::NOTDIR),
        }
    }
    trail.pop().map_or_else(|| open_place(root, Path::new("/")), Ok)
}

/// Pushes the components in reverse, with "/" for an absolute path.
fn push_components(todo: &mut Vec<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::RootDir => todo.push("/".into()),
            Component::ParentDir => todo.push("..".into()),
            Component::Normal(name) => todo.push(name.to_owned()),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

fn open_or_make(dir: BorrowedFd<'_>, name: &OsStr, missing: Missing) -> Result<OwnedFd, Errno> {
    let place = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let open = || rustix::fs::openat2(dir, name, place, Mode::empty(), resolve);
    match open() {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    // The modes are set once more: the umask may be a user's.
    let made = match missing {
        Missing::Directory => {
            let mode = Mode::from_raw_mode(0o755);
            rustix::fs::mkdirat(dir, name, mode).and_then(|()| {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::fchmod(rustix::fs::openat(dir, name, flags, Mode::empty())?, mode)
            })
        }
        Missing::File => {
            let (flags, mode) = (
                OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY,
                Mode::from_raw_mode(0o644),
            );
            rustix::fs::openat(dir, name, flags, mode).and_then(|file| rustix::fs::fchmod(file, mode))
        }
    };
    match made {
        // Somebody else made it meanwhile: what it is gets checked by the caller.
        Ok(()) | Err(Errno::EXIST) => open(),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn rootfs() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("root")).expect("mkdir");
        let root = std::fs::File::open(dir.path().join("root")).expect("open");
        (dir, root.into())
    }

    fn same(place: &OwnedFd, path: &Path) -> bool {
        let stat = rustix::fs::fstat(place).expect("fstat");
        path.symlink_metadata().is_ok_and(|found| (found.ino(), found.dev()) == (stat.st_ino, stat.st_dev))
    }

    #[test]
    fn links_never_lead_out() {
        let (dir, root) = rootfs();
        let base = dir.path().join("root");
        for (name, target) in [
            ("absolute", "/etc"),
            ("climbing", "../../../../etc"),
            ("dangling", "/run/new/place"),
            ("relative", "a/../b"),
        ] {
            symlink(target, base.join(name)).expect("symlink");
        }
        for (path, expected) in [
            ("absolute/x", "etc/x"),
            ("/climbing/y", "etc/y"),
            ("dangling", "run/new/place"),
            ("relative/c", "b/c"),
            ("../../plain", "plain"),
            ("/", ""),
        ] {
            let place = create(root.as_fd(), Path::new(path), Missing::Directory).expect(path);
            assert!(same(&place, &base.join(expected)), "{path}");
        }
        assert!(!Path::new("/etc/x").exists() && !Path::new("/etc/y").exists());
    }

    #[test]
    fn files_and_what_is_in_the_way() {
        let (dir, root) = rootfs();
        let base = dir.path().join("root");
        let file = create(root.as_fd(), Path::new("/etc/hosts"), Missing::File).expect("a file");
        assert!(same(&file, &base.join("etc/hosts")) && base.join("etc/hosts").is_file());
        let error =
            create(root.as_fd(), Path::new("/etc/hosts/x"), Missing::File).expect_err("a file in the way");
        assert_eq!(error.errno(), Some(libc::ENOTDIR));
        symlink("loop", base.join("loop")).expect("symlink");
        let error = create(root.as_fd(), Path::new("loop/x"), Missing::Directory).expect_err("a loop");
        assert_eq!(error.errno(), Some(libc::ELOOP));
    }

    #[test]
    fn magic_links_are_not_followed() {
        let root = rustix::fs::open("/", OFlags::PATH, Mode::empty()).expect("open");
        let error = open_place(root.as_fd(), Path::new("/proc/self/root/etc")).expect_err("a magic link");
        assert_eq!(error, Errno::LOOP);
        assert_eq!(
            open_plain(root.as_fd(), Path::new("/proc/self/status")).expect_err("a link"),
            Errno::LOOP
        );
    }
}

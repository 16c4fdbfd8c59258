//! This machine's side of a copy. Its paths are the user's own and are followed as any program follows them.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sandbox_engine::archive::stat;

use super::paths::Target;

/// Links that a destination may lead through.
const LINKS: usize = 10;

fn described(what: &str, path: &str, error: &std::io::Error) -> String {
    let text = error.to_string().to_lowercase();
    format!("{what} {path}: {}", text.split(" (os error").next().unwrap_or(&text))
}

/// Whether a copy can go there at all: its directory is there, and it is no device.
pub(super) fn check_output(path: &str) -> Result<(), String> {
    let plain = path.trim_end_matches("/.").trim_end_matches('/');
    let parent = Path::new(plain).parent().unwrap_or(Path::new("/"));
    if std::fs::metadata(parent).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Err(format!(
            "invalid output path: directory {:?} does not exist",
            parent.display().to_string()
        ));
    }
    let Ok(found) = std::fs::metadata(path) else { return Ok(()) };
    let kind = found.file_type();
    let what = if kind.is_block_device() || kind.is_char_device() {
        "got a device"
    } else if kind.is_fifo() || kind.is_socket() {
        "got an irregular file"
    } else {
        return Ok(());
    };
    Err(format!("invalid output path: {path:?} must be a directory or a regular file: {what}"))
}

/// What is at the destination. A link stands for what it leads to, which need not be there.
pub(super) fn target(path: &str) -> Result<Target, String> {
    let mut place = PathBuf::from(path);
    for _ in 0..=LINKS {
        let found = match std::fs::symlink_metadata(&place) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return missing(&place);
            }
            Err(error) => return Err(described("lstat", path, &error)),
        };
        if !found.file_type().is_symlink() {
            return Ok(Target { path: text(&place)?, exists: true, is_directory: found.is_dir() });
        }
        let link = std::fs::read_link(&place).map_err(|error| described("readlink", path, &error))?;
        place = place.parent().unwrap_or(Path::new("/")).join(link);
    }
    Err(format!("too many symlinks in {path}"))
}

fn missing(place: &Path) -> Result<Target, String> {
    let path = text(place)?;
    let plain = path.trim_end_matches("/.").trim_end_matches('/');
    let parent = Path::new(plain).parent().unwrap_or(Path::new("/"));
    let found = std::fs::metadata(parent)
        .map_err(|error| described("stat", &parent.display().to_string(), &error))?;
    if !found.is_dir() {
        return Err("not a directory".to_owned());
    }
    Ok(Target { path, exists: false, is_directory: false })
}

fn text(path: &Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// Opens the directory that is copied into, or from.
pub(super) fn open_directory(path: &str) -> Result<OwnedFd, String> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| described("open", path, &errno.into()))
}

/// Whether the source is a directory.
pub(super) fn is_directory(root: &OwnedFd, path: &str, follow: bool) -> Result<bool, String> {
    let mut found = stat(root.as_fd(), path).map_err(|error| format!("lstat {error}"))?;
    if found.is_symlink() && follow && !found.link_target.is_empty() {
        found = stat(root.as_fd(), &found.link_target).map_err(|error| format!("lstat {error}"))?;
    }
    Ok(found.is_directory())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(path("d")).unwrap();
        std::fs::write(path("f"), "").unwrap();
        for (link, to) in [("to_d", "d"), ("to_new", "new"), ("loop", "loop"), ("away", "no/where")] {
            std::os::unix::fs::symlink(to, path(link)).unwrap();
        }
        let is = |name: &str| target(&path(name)).map(|found| (found.path, found.exists, found.is_directory));
        assert_eq!(is("d").unwrap(), (path("d"), true, true));
        assert_eq!(is("f").unwrap(), (path("f"), true, false));
        assert_eq!(is("to_d").unwrap(), (path("d"), true, true));
        assert_eq!(is("to_new").unwrap(), (path("new"), false, false));
        assert_eq!(is("new/").unwrap(), (path("new/"), false, false));
        assert!(is("loop").unwrap_err().starts_with("too many symlinks"));
        assert!(is("away").unwrap_err().contains("no such file or directory"));
        assert!(is("f/x").is_err());
    }

    #[test]
    fn outputs() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
        check_output(&path("new")).unwrap();
        check_output(&path("new/")).unwrap();
        check_output(&path("")).unwrap();
        let error = check_output(&path("no/new")).unwrap_err();
        assert_eq!(error, format!("invalid output path: directory {:?} does not exist", path("no")));
        let error = check_output("/dev/null").unwrap_err();
        assert_eq!(
            error,
            "invalid output path: \"/dev/null\" must be a directory or a regular file: got a device"
        );
    }
}

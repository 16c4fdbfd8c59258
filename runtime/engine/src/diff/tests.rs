use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use super::*;

/// An image of two layers and a container's upper directory.
struct Setup(tempfile::TempDir);

impl Setup {
    fn new() -> Self {
        let setup = Self(tempfile::tempdir().unwrap());
        for directory in ["bottom", "top", "upper"] {
            std::fs::create_dir(setup.0.path().join(directory)).unwrap();
        }
        setup
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        std::fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        std::fs::write(self.path(path), content).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::open(self.path(path)).unwrap().set_modified(time).unwrap();
        self
    }

    fn dir(&self, path: &str) -> &Self {
        std::fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    fn whiteout(&self, path: &str) -> &Self {
        let kind = FileType::CharacterDevice;
        rustix::fs::mknodat(CWD, self.path(path), kind, Mode::empty(), 0).unwrap();
        self
    }

    fn mark(&self, path: &str, name: &str) -> &Self {
        rustix::fs::setxattr(self.path(path), name, b"y", rustix::fs::XattrFlags::empty()).unwrap();
        self
    }

    fn lines(&self) -> Vec<String> {
        let rootfs = Rootfs {
            lower: vec![self.path("top"), self.path("bottom")],
            upper: self.path("upper"),
            work: self.path("work"),
            volatile: false,
        };
        let line =
            |change: FileChange| format!("{} {}", change.kind, String::from_utf8(change.path).unwrap());
        changes(&rootfs).unwrap().into_iter().map(line).collect()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn added_changed_and_deleted() {
    if !is_root() {
        return;
    }
    let setup = Setup::new();
    setup.file("bottom/etc/a", "1").file("bottom/etc/b", "2").file("top/etc/c", "3").file("bottom/x/y", "");
    setup
        .file("upper/etc/a", "11")
        .file("upper/etc/new/deep", "")
        .whiteout("upper/etc/c")
        .whiteout("upper/x");
    setup.whiteout("upper/etc/never");
    assert_eq!(setup.lines(), ["C /etc", "C /etc/a", "D /etc/c", "A /etc/new", "A /etc/new/deep", "D /x"]);
}

#[test]
fn what_was_only_copied_up_is_no_change() {
    let setup = Setup::new();
    setup.file("bottom/etc/same", "1").file("upper/etc/same", "1").dir("bottom/var").dir("upper/var");
    assert_eq!(setup.lines(), [""; 0]);
    std::fs::set_permissions(setup.path("upper/var"), PermissionsExt::from_mode(0o700)).unwrap();
    setup.file("upper/etc/same", "2");
    std::fs::File::open(setup.path("upper/etc/same"))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    assert_eq!(setup.lines(), ["C /etc", "C /etc/same", "C /var"]);
}

#[test]
fn an_owner_is_a_change() {
    if !is_root() {
        return;
    }
    let setup = Setup::new();
    setup.file("bottom/f", "1").file("upper/f", "1");
    chown(setup.path("upper/f"), Some(7), None).unwrap();
    assert_eq!(setup.lines(), ["C /f"]);
}

#[test]
fn an_opaque_directory_hides_what_was_in_it() {
    if !is_root() {
        return;
    }
    let setup = Setup::new();
    setup.file("bottom/d/a", "1").file("bottom/d/b", "1").file("top/d/c/x", "1");
    setup.file("upper/d/b", "1").file("upper/d/n", "").mark("upper/d", "trusted.overlay.opaque");
    assert_eq!(setup.lines(), ["C /d", "D /d/a", "D /d/c", "A /d/n"]);
    // Hidden by the image itself, it is new.
    let setup = Setup::new();
    setup.file("bottom/d/a", "1").file("top/d/b", "1").mark("top/d", "trusted.overlay.opaque");
    setup.file("upper/d/a", "1");
    assert_eq!(setup.lines(), ["C /d", "A /d/a"]);
}

#[test]
fn whiteouts_of_the_image_count() {
    if !is_root() {
        return;
    }
    let setup = Setup::new();
    setup.file("bottom/gone", "1").whiteout("top/gone").file("upper/gone", "2");
    setup.file("bottom/f", "1").file("upper/f", "").mark("upper/f", "trusted.overlay.whiteout");
    assert_eq!(setup.lines(), ["D /f", "A /gone"]);
}

#[test]
fn kinds_change() {
    let setup = Setup::new();
    setup.file("bottom/was_dir/x", "1").file("bottom/was_file", "1");
    setup.file("upper/was_dir", "1").file("upper/was_file/y", "1");
    symlink("/etc/passwd", setup.path("upper/link")).unwrap();
    rustix::fs::mkfifoat(CWD, setup.path("upper/fifo"), Mode::RUSR).unwrap();
    assert_eq!(
        setup.lines(),
        ["A /fifo", "A /link", "C /was_dir", "D /was_dir/x", "C /was_file", "A /was_file/y"]
    );
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn places_to_mount_on_are_not_the_containers() {
    let setup = Setup::new();
    setup.dir("upper/proc").dir("upper/sys/fs/cgroup").dir("upper/dev/pts").file("upper/etc/hosts", "");
    assert_eq!(setup.lines(), [""; 0]);
    setup.file("upper/etc/passwd", "").dir("upper/data");
    assert_eq!(setup.lines(), ["A /data", "A /etc", "A /etc/passwd"]);
}

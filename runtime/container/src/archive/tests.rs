use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;

/// A root with something outside of it that must stay as it is.
struct Root {
    directory: tempfile::TempDir,
    fd: OwnedFd,
}

impl Root {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("root")).unwrap();
        std::fs::write(directory.path().join("secret"), "secret").unwrap();
        let fd = std::fs::File::open(directory.path().join("root")).unwrap().into();
        Self { directory, fd }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    fn dir(&self, path: &str) -> &Self {
        std::fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        std::fs::write(self.path(path), content).unwrap();
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.path(path)).unwrap();
        self
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    fn pack(&self, path: &str, follow: bool) -> Result<Vec<u8>, ArchiveError> {
        let mut out = Vec::new();
        pack(self.fd.as_fd(), path, follow, &mut out).map(|_| out)
    }

    fn unpack(&self, path: &str, archive: &[u8], options: &Unpack) -> Result<u64, ArchiveError> {
        unpack(self.fd.as_fd(), path, archive, options)
    }

    /// Nothing but the root and the secret, which is as it was.
    fn assert_untouched(&self) {
        let mut names: Vec<_> = std::fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["root", "secret"]);
        assert_eq!(std::fs::read_to_string(self.directory.path().join("secret")).unwrap(), "secret");
    }
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut reader = sandbox_tar::TarReader::new(archive, 1000);
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let link = String::from_utf8(entry.link).unwrap();
        let arrow = if link.is_empty() { String::new() } else { format!(" -> {link}") };
        names.push(format!("{}{arrow}", String::from_utf8(entry.path).unwrap()));
    }
    names
}

/// An archive of entries: kind, path, link or content.
fn archive(entries: &[(char, &str, &str)]) -> Vec<u8> {
    use sandbox_tar::{Entry, Kind, TarWriter};
    let mut writer = TarWriter::new(Vec::new());
    for (kind, path, text) in entries {
        let kind = match kind {
            'd' => Kind::Directory,
            'f' => Kind::File,
            'h' => Kind::HardLink,
            'l' => Kind::Symlink,
            'c' => Kind::CharacterDevice,
            'b' => Kind::BlockDevice,
            _ => Kind::Fifo,
        };
        let is_file = kind == Kind::File;
        let entry = Entry {
            path: path.as_bytes().to_vec(),
            kind,
            link: if is_file { Vec::new() } else { text.as_bytes().to_vec() },
            mode: if kind == Kind::Directory { 0o755 } else { 0o4644 },
            uid: u64::from(rustix::process::getuid().as_raw()),
            gid: u64::from(rustix::process::getgid().as_raw()),
            mtime: (1_000_000_000, 7),
            device: (1, 3),
            xattrs: Vec::new(),
            size: if is_file { text.len() as u64 } else { 0 },
            sparse: None,
        };
        writer.file(&entry, &mut text.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

fn host() -> Unpack {
    Unpack { no_overwrite_dir_non_dir: true, owner: Owner::Caller, guard: true, rename: None }
}

#[test]
fn the_top_of_an_archive_is_named_as_docker_names_it() {
    let root = Root::new();
    root.dir("etc/sub").file("etc/hosts", "h").link("e", "etc").link("f", "/etc/hosts");
    for (path, follow, expected) in [
        ("/etc", false, &["etc/", "etc/hosts", "etc/sub/"][..]),
        ("etc/", false, &["etc/", "etc/hosts", "etc/sub/"]),
        ("/etc/.", false, &["./", "./hosts", "./sub/"]),
        ("/etc/hosts", false, &["hosts"]),
        ("/usr/../etc/hosts", false, &["hosts"]),
        ("e", false, &["e -> etc"]),
        ("e/", false, &["e/", "e/hosts", "e/sub/"]),
        ("e/.", false, &["./", "./hosts", "./sub/"]),
        ("e/hosts", false, &["hosts"]),
        ("e", true, &["e/", "e/hosts", "e/sub/"]),
        ("f", true, &["f"]),
        ("/", false, &["/", "/e -> etc", "/etc/", "/etc/hosts", "/etc/sub/", "/f -> /etc/hosts"]),
    ] {
        assert_eq!(names(&root.pack(path, follow).unwrap()), expected, "{path} {follow}");
    }
    let missing = ArchiveError::Missing { path: "/nope".to_owned() };
    assert_eq!(root.pack("/nope", false).unwrap_err(), missing);
    assert_eq!(
        root.pack("/etc/hosts/", false).unwrap_err(),
        ArchiveError::NotADirectory { path: "/etc/hosts/".to_owned() }
    );
    assert!(matches!(root.pack("/etc/hosts/x", false), Err(ArchiveError::NotADirectory { .. })));
}

#[test]
fn paths_and_links_end_inside_the_root() {
    let root = Root::new();
    root.dir("d")
        .file("d/secret", "inside")
        .file("secret", "mine")
        .link("up", "../../secret")
        .link("far", "../../../../../../../../etc")
        .link("abs", "/d")
        .link("loop", "loop")
        .link("magic", "/proc/self/root");
    for path in ["../secret", "../../../secret", "/../secret", "up", "d/../../secret"] {
        let packed = root.pack(path, true).unwrap();
        assert!(packed.windows(4).any(|part| part == b"mine"), "{path}");
    }
    assert!(root.pack("abs/secret", false).unwrap().windows(6).any(|part| part == b"inside"));
    assert!(matches!(root.pack("far/passwd", true), Err(ArchiveError::Missing { .. })));
    assert!(matches!(root.pack("magic/etc/passwd", true), Err(ArchiveError::Missing { .. })));
    assert!(root.pack("loop/x", true).is_err());
    assert!(root.pack("a\0b", true).is_err());
    assert!(root.pack(&"x/".repeat(3000), true).is_err());
}

#[test]
fn stat_as_docker_has_it() {
    let root = Root::new();
    root.dir("usr/lib")
        .file("usr/lib/so", "12345")
        .link("lib", "usr/lib")
        .link("l", "lib/so")
        .link("x", "no/../w");
    let stat = |path: &str| stat(root.fd.as_fd(), path).unwrap();
    let found = stat("/lib/so");
    assert_eq!((found.name.as_str(), found.size, found.link_target.as_str()), ("so", 5, ""));
    assert!(stat("/lib").is_symlink() && stat("/lib/").is_directory() && stat("/").is_directory());
    assert_eq!(stat("/lib").link_target, "/usr/lib");
    assert_eq!(stat("l").link_target, "/usr/lib/so");
    assert_eq!(stat("x").link_target, "/w");
    assert_eq!(stat("/").name, "/");
    assert_eq!(stat("/lib/.").name, ".");
}

#[test]
fn everything_comes_back() {
    let from = Root::new();
    from.dir("t/d").file("t/d/f", "content").link("t/l", "/etc/passwd");
    std::fs::hard_link(from.path("t/d/f"), from.path("t/hard")).unwrap();
    std::fs::set_permissions(from.path("t/d/f"), PermissionsExt::from_mode(0o4711)).unwrap();
    rustix::fs::mkfifoat(&from.fd, "t/fifo", rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let long = format!("t/{}", "n".repeat(200));
    from.file(&long, &"big".repeat(100_000));
    let _socket = std::os::unix::net::UnixListener::bind(from.path("t/socket")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_500_000_000, 123_456_789);
    for path in ["t/d/f", "t/d", &long] {
        std::fs::File::open(from.path(path)).unwrap().set_modified(time).unwrap();
    }
    let packed = from.pack("t", false).unwrap();
    assert_eq!(packed, from.pack("t", false).unwrap(), "equal trees are equal archives");
    let size = pack(from.fd.as_fd(), "t/d/f", false, std::io::sink()).unwrap();
    assert_eq!(size, 2048, "as Docker counts it");
    let to = Root::new();
    assert_eq!(to.unpack("/", &from.pack("t/d/f", false).unwrap(), &Unpack::default()).unwrap(), 2048);
    to.unpack("/", &packed, &Unpack::default()).unwrap();
    assert_eq!(to.read("t/d/f"), "content");
    assert_eq!(to.read(&long), "big".repeat(100_000));
    let meta = |path: &str| to.path(path).symlink_metadata().unwrap();
    assert_eq!(meta("t/d/f").ino(), meta("t/hard").ino());
    assert_eq!(meta("t/d/f").mode() & 0o7777, 0o4711);
    assert_eq!(meta("t/d/f").modified().unwrap(), time);
    assert_eq!(meta("t/d").modified().unwrap(), time);
    assert_eq!(std::fs::read_link(to.path("t/l")).unwrap(), Path::new("/etc/passwd"));
    assert!(to.path("t/fifo").exists() && !to.path("t/socket").exists());
}

#[test]
fn archives_stay_inside() {
    let hostile: [&[(char, &str, &str)]; 6] = [
        &[('f', "../secret", "evil")],
        &[('f', "a/../../secret", "evil")],
        &[('h', "x", "../secret")],
        &[('h', "x", "/../../secret")],
        &[('h', "x", "nope")],
        &[('f', "..", "evil")],
    ];
    for entries in hostile {
        let root = Root::new();
        root.unpack("/", &archive(entries), &Unpack::default()).unwrap_err();
        root.unpack("/", &archive(entries), &host()).unwrap_err();
        root.assert_untouched();
    }
    // These are taken, but inside.
    let root = Root::new();
    let entries = [
        ('f', "/absolute", "1"),
        ('l', "out", "../.."),
        ('f', "out/secret", "2"),
        ('l', "etc", "/../../../../tmp/sandbox-archive-test"),
        ('f', "etc/x", "3"),
        ('d', "out", ""),
        ('h', "same", "/absolute"),
    ];
    root.unpack("/", &archive(&entries), &Unpack::default()).unwrap();
    root.assert_untouched();
    assert_eq!(root.read("absolute"), "1");
    assert_eq!(root.read("same"), "1");
    assert_eq!(root.read("secret"), "2");
    assert_eq!(root.read("tmp/sandbox-archive-test/x"), "3");
    assert!(root.path("out").symlink_metadata().unwrap().is_dir(), "replaced by the later entry");
    assert!(!Path::new("/tmp/sandbox-archive-test").exists());
}

#[test]
fn a_container_gives_the_host_no_rights() {
    let root = Root::new();
    for link in ["../x", "a/../../x", "../../../../root/.ssh/authorized_keys"] {
        let error = root.unpack("/", &archive(&[('l', "l", link)]), &host()).unwrap_err().to_string();
        assert!(error.starts_with("invalid symlink"), "{error}");
    }
    for kind in ['c', 'b'] {
        let error = root.unpack("/", &archive(&[(kind, "null", "")]), &host()).unwrap_err().to_string();
        assert!(error.contains("devices of a container"), "{error}");
    }
    let entries = [('f', "su", "x"), ('d', "d", ""), ('l', "d/l", "../su"), ('l', "abs", "/etc/passwd")];
    root.unpack("/", &archive(&entries), &host()).unwrap();
    assert_eq!(root.path("su").metadata().unwrap().mode() & 0o7777, 0o644);
    // An entry that goes through a link of the archive ends at the link's place inside.
    root.unpack("/", &archive(&[('f', "abs", "mine")]), &host()).unwrap();
    assert!(!root.path("abs").symlink_metadata().unwrap().is_symlink(), "the link itself is replaced");
    root.assert_untouched();
}

#[test]
fn the_top_is_renamed_and_nothing_else_comes_along() {
    let root = Root::new();
    let rename = |from: &str, to: &str| Unpack {
        rename: Some(Rename { from: from.to_owned(), to: to.to_owned() }),
        ..host()
    };
    let packed = archive(&[('d', "etc/", ""), ('f', "etc/a", "1"), ('h', "etc/b", "etc/a")]);
    root.unpack("/", &packed, &rename("etc", "copy")).unwrap();
    assert_eq!((root.read("copy/a"), root.read("copy/b")), ("1".to_owned(), "1".to_owned()));
    let packed = archive(&[('d', "./", ""), ('f', "./a", "2")]);
    root.unpack("/", &packed, &rename(".", "new")).unwrap();
    assert_eq!(root.read("new/a"), "2");
    for name in ["other", ".bashrc", "etcetera/x", "."] {
        let error = root.unpack("/", &archive(&[('f', name, "x")]), &rename("etc", "copy")).unwrap_err();
        assert!(error.to_string().contains("not what was asked for"), "{error}");
    }
}

#[test]
fn what_is_in_the_way() {
    let root = Root::new();
    root.dir("d/inner").file("f", "old").link("l", "f");
    let strict = Unpack { no_overwrite_dir_non_dir: true, ..Unpack::default() };
    let text = |entries: &[(char, &str, &str)]| {
        root.unpack("/", &archive(entries), &strict).unwrap_err().to_string()
    };
    assert_eq!(text(&[('f', "d", "x")]), "cannot overwrite directory \"d\" with non-directory \"d\"");
    assert_eq!(text(&[('d', "f", "")]), "cannot overwrite non-directory \"f\" with directory \"f\"");
    root.unpack("/", &archive(&[('f', "l", "new"), ('d', "d", "")]), &strict).unwrap();
    assert_eq!((root.read("l"), root.read("f")), ("new".to_owned(), "old".to_owned()));
    assert!(root.path("d/inner").is_dir(), "directories merge");
    root.unpack("/", &archive(&[('f', "d", "x"), ('d', "f", "")]), &Unpack::default()).unwrap();
    assert!(root.path("d").is_file() && root.path("f").is_dir());
    assert_eq!(
        root.unpack("/d", &[], &strict).unwrap_err().to_string(),
        "extraction point is not a directory"
    );
    assert!(matches!(root.unpack("/no", &[], &strict), Err(ArchiveError::Missing { .. })));
}

#[test]
fn files_are_whose_they_are_to_be() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let root = Root::new();
    root.dir("etc").file("etc/passwd", "web:x:33:34::/:/bin/sh\n").file("etc/group", "");
    let owned = |owner: Owner| {
        root.unpack("/", &archive(&[('f', "f", "")]), &Unpack { owner, ..Unpack::default() })?;
        let found = root.path("f").metadata().unwrap();
        Ok::<_, ArchiveError>((found.uid(), found.gid()))
    };
    assert_eq!(owned(Owner::Archive).unwrap(), (0, 0));
    assert_eq!(owned(Owner::User("web".to_owned())).unwrap(), (33, 34));
    assert_eq!(owned(Owner::User("7:8".to_owned())).unwrap(), (7, 8));
    assert!(owned(Owner::User("nobody".to_owned())).is_err());
}

#[test]
fn an_extraction_point_may_be_a_link() {
    let root = Root::new();
    root.dir("real").link("link", "../../real");
    root.unpack("/link", &archive(&[('f', "deep/x", "1")]), &Unpack::default()).unwrap();
    assert_eq!(root.read("real/deep/x"), "1");
    assert_eq!(root.path("real/deep").metadata().unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn fifos_and_devices_are_not_opened() {
    let root = Root::new();
    root.dir("d");
    rustix::fs::mkfifoat(&root.fd, "d/fifo", rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    // Opening it would wait for a writer for ever.
    assert_eq!(names(&root.pack("d/fifo", true).unwrap()), ["fifo"]);
    assert_eq!(names(&root.pack("d", true).unwrap()), ["d/", "d/fifo"]);
}

#[test]
fn depth_is_bounded() {
    let root = Root::new();
    let mut path = root.path("x");
    std::fs::create_dir(&path).unwrap();
    for _ in 0..300 {
        path.push("x");
        std::fs::create_dir(&path).unwrap();
    }
    assert!(root.pack("x", false).unwrap_err().to_string().contains("nested deeper than 256"));
    let deep = "d/".repeat(300);
    let error = root.unpack("/", &archive(&[('d', &deep, "")]), &Unpack::default()).unwrap_err();
    assert!(error.to_string().contains("nested deeper than 256"));
}

#[test]
fn names_need_not_be_text() {
    let root = Root::new();
    let name = std::ffi::OsStr::from_bytes(b"d/\xff\xfe");
    root.dir("d");
    std::fs::write(root.path("").join(name), "x").unwrap();
    let packed = root.pack("d", false).unwrap();
    let to = Root::new();
    to.unpack("/", &packed, &Unpack::default()).unwrap();
    assert!(to.path("").join(name).is_file());
}

#[test]
fn the_kernels_own_files_are_left_out_of_a_whole() {
    let root = rustix::fs::open("/", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    let mut out = Vec::new();
    pack(root.as_fd(), "/proc/sys/kernel/ostype", false, &mut out).unwrap();
    assert_eq!(names(&out), ["ostype"]);
    let place = open::Place::child(root.as_fd(), b"proc").unwrap();
    assert!(pack::is_made_up(&place));
}

#[test]
fn a_damaged_archive_is_an_error() {
    let root = Root::new();
    let whole = archive(&[('f', "a", &"x".repeat(5000)), ('f', "b", "y")]);
    for length in [1, 100, 511, 600, 3000, 5700] {
        assert!(root.unpack("/", &whole[..length], &Unpack::default()).is_err(), "{length}");
    }
    root.assert_untouched();
}

/// The form that overlayfs keeps changes in becomes that of image layers.
#[test]
fn an_upper_directory_is_a_layer() {
    let root = Root::new();
    root.dir("etc/deep").dir("new").file("etc/changed", "1");
    let whiteout = |path: &str| {
        let mode = rustix::fs::Mode::empty();
        rustix::fs::mknodat(&root.fd, path, rustix::fs::FileType::CharacterDevice, mode, 0)
    };
    let mark = |path: &str, name: &str| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(root.path(path), name, b"y", flags)
    };
    if whiteout("etc/gone").is_err() || mark("new", "trusted.overlay.opaque").is_err() {
        return; // Root's to make.
    }
    whiteout("top").unwrap();
    root.file("etc/deep/other", "");
    mark("etc/deep/other", "trusted.overlay.whiteout").unwrap();
    mark("etc", "trusted.overlay.origin").unwrap();
    let mut layer = Vec::new();
    pack_layer(root.fd.as_fd(), &mut layer).unwrap();
    assert_eq!(
        names(&layer),
        [
            "etc/",
            "etc/changed",
            "etc/deep/",
            "etc/deep/.wh.other",
            "etc/.wh.gone",
            "new/",
            "new/.wh..wh..opq",
            ".wh.top"
        ]
    );
    assert!(!layer.windows(15).any(|part| part == b"trusted.overlay"));
    let mut tree = Vec::new();
    pack_tree(root.fd.as_fd(), &mut tree).unwrap();
    assert_eq!(
        names(&tree),
        ["etc/", "etc/changed", "etc/deep/", "etc/deep/other", "etc/gone", "new/", "top"]
    );
}

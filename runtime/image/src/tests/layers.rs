//! What layers become on disk: files as in the archive, removals as overlayfs wants them, and the merged view.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::image::{Setup, Tar};

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn is_whiteout(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == 0)
}

fn is_opaque(path: &Path) -> bool {
    xattr(path, "trusted.overlay.opaque").as_deref() == Some(b"y")
}

#[test]
fn files_have_owner_mode_time_and_attributes() {
    let setup = Setup::new();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    // version 2, cap_net_raw permitted and effective (linux/capability.h)
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let layer = Tar::new()
        .directory("./", 0o751)
        .directory("dir", 0o2770)
        .pax("SCHILY.xattr.user.comment", b"hello\0world")
        .entry(
            b'0',
            "dir/setuid",
            |header| {
                header.set_mode(0o6755);
                header.set_uid(100_000);
                header.set_gid(70);
            },
            b"data",
        )
        .pax("SCHILY.xattr.security.capability", &capability)
        .pax("mtime", b"1234567890.5")
        .file("ping", "x")
        .file(&long, "long")
        .symlink("link", "/nowhere/at/all")
        .hard_link("hard", "dir/setuid")
        .entry(b'6', "fifo", |header| header.set_mode(0o600), b"")
        .device(b'3', "null", 1, 3)
        .end();
    let root = setup.unpack(&[layer]).unwrap();

    assert_eq!(root.metadata().unwrap().mode() & 0o7777, 0o751);
    assert_eq!(root.join("dir").metadata().unwrap().mode() & 0o7777, 0o2770);
    assert_eq!(root.join("dir").metadata().unwrap().mtime(), 1_000_000_000);
    let setuid = root.join("dir/setuid").metadata().unwrap();
    assert_eq!((setuid.mode() & 0o7777, setuid.uid(), setuid.gid()), (0o6755, 100_000, 70));
    assert_eq!((setuid.mtime(), setuid.nlink()), (1_000_000_000, 2));
    assert_eq!(xattr(&root.join("dir/setuid"), "user.comment").unwrap(), b"hello\0world");
    assert_eq!(root.join("hard").metadata().unwrap().ino(), setuid.ino());
    assert_eq!(xattr(&root.join("ping"), "security.capability").unwrap(), capability);
    let ping = root.join("ping").metadata().unwrap();
    assert_eq!((ping.mtime(), ping.mtime_nsec()), (1_234_567_890, 500_000_000));
    assert_eq!(std::fs::read(root.join(&long)).unwrap(), b"long");
    assert_eq!(root.join("link").read_link().unwrap(), Path::new("/nowhere/at/all"));
    assert_eq!(root.join("link").symlink_metadata().unwrap().mtime(), 1_000_000_000);
    assert!(root.join("fifo").metadata().unwrap().file_type().is_fifo());
    let null = root.join("null").metadata().unwrap();
    assert!(null.file_type().is_char_device() && null.rdev() == rustix::fs::makedev(1, 3));
    assert_eq!(null.mode() & 0o7777, 0o644);
}

#[test]
fn removals_become_whiteouts() {
    let setup = Setup::new();
    let base = Tar::new().directory("a", 0o755).file("a/x", "").file("a/y", "").file("top", "").end();
    let layer = Tar::new()
        .file("a/.wh.x", "")
        .file(".wh.top", "")
        .directory("b", 0o755)
        .file("b/.wh..wh..opq", "")
        .file("b/new", "")
        .file(".wh..wh.plnk", "")
        .end();
    let root = setup.unpack(&[base, layer]).unwrap();
    assert!(is_whiteout(&root.join("a/x")) && is_whiteout(&root.join("top")));
    assert!(!root.join("a/y").exists());
    assert!(is_opaque(&root.join("b")) && !is_opaque(&root.join("a")));
    assert!(!root.join("b/.wh..wh..opq").exists() && !root.join(".wh..wh.plnk").exists());
}

#[test]
fn a_whiteout_spares_what_its_own_layer_has_in_either_order() {
    let setup = Setup::new();
    let base = Tar::new().directory("d", 0o755).file("d/old", "").file("f", "old").end();
    let before =
        Tar::new().file(".wh.d", "").directory("d", 0o700).file("d/new", "").file(".wh.f", "").file("f", "n");
    let after =
        Tar::new().directory("d", 0o700).file("d/new", "").file(".wh.d", "").file("f", "n").file(".wh.f", "");
    for layer in [before, after] {
        let root = setup.unpack(&[base_of(&base), layer.end()]).unwrap();
        assert!(is_opaque(&root.join("d")), "the layer's directory hides the old one");
        assert!(root.join("d/new").exists());
        assert_eq!(std::fs::read(root.join("f")).unwrap(), b"n");
    }
}

fn base_of(base: &[u8]) -> Vec<u8> {
    base.to_vec()
}

#[test]
fn an_opaque_root_hides_everything_below() {
    let setup = Setup::new();
    let base = Tar::new().directory("d", 0o755).file("f", "").file("g", "").end();
    let layer = Tar::new().file(".wh..wh..opq", "").directory("d", 0o755).file("g", "new").end();
    let root = setup.unpack(&[base, layer]).unwrap();
    assert!(is_whiteout(&root.join("f")));
    assert!(is_opaque(&root.join("d")));
    assert_eq!(std::fs::read(root.join("g")).unwrap(), b"new");
}

#[test]
fn a_directory_without_entry_is_as_in_the_layer_below() {
    let setup = Setup::new();
    let base = Tar::new()
        .entry(
            b'5',
            "home",
            |header| {
                header.set_mode(0o1711);
                header.set_uid(42);
            },
            b"",
        )
        .end();
    let middle = Tar::new().file("other", "").end();
    let layer = Tar::new().file("home/file", "").file("fresh/file", "").end();
    let root = setup.unpack(&[base, middle, layer]).unwrap();
    let home = root.join("home").metadata().unwrap();
    assert_eq!((home.mode() & 0o7777, home.uid(), home.mtime()), (0o1711, 42, 1_000_000_000));
    let fresh = root.join("fresh").metadata().unwrap();
    assert_eq!((fresh.mode() & 0o7777, fresh.uid()), (0o755, 0));
    assert!(!is_opaque(&root.join("home")));
}

#[test]
fn a_directory_that_was_removed_below_is_not_remembered() {
    let setup = Setup::new();
    let base = Tar::new().directory("d", 0o700).end();
    let removed = Tar::new().file(".wh.d", "").end();
    let layer = Tar::new().file("d/file", "").end();
    let root = setup.unpack(&[base, removed, layer]).unwrap();
    assert_eq!(root.join("d").metadata().unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn paths_through_links_of_the_image_arrive_where_they_do_in_a_container() {
    let setup = Setup::new();
    let base = Tar::new()
        .directory("usr", 0o755)
        .directory("usr/lib", 0o711)
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/./lib/../lib")
        .symlink("chain", "lib")
        .end();
    let layer = Tar::new().file("lib/one", "1").file("abs/two", "2").file("chain/three", "3").end();
    let root = setup.unpack(&[base.clone(), layer]).unwrap();
    for (name, content) in [("one", "1"), ("two", "2"), ("three", "3")] {
        assert_eq!(std::fs::read(root.join("usr/lib").join(name)).unwrap(), content.as_bytes());
    }
    assert_eq!(root.join("usr/lib").metadata().unwrap().mode() & 0o7777, 0o711);
    assert!(!root.join("lib").exists(), "the link stays in its own layer");
}

#[test]
fn a_hard_link_to_a_layer_below_copies_the_file_up() {
    let setup = Setup::new();
    let base = Tar::new()
        .entry(b'5', "bin", |header| header.set_mode(0o750), b"")
        .entry(
            b'0',
            "bin/tool",
            |header| {
                header.set_mode(0o4755);
                header.set_uid(7);
            },
            b"tool",
        )
        .symlink("bin/link", "tool")
        .symlink("sbin", "bin")
        .end();
    let layer = Tar::new()
        .hard_link("alias", "bin/tool")
        .hard_link("l", "bin/link")
        .hard_link("m", "sbin/tool")
        .end();
    let root = setup.unpack(&[base, layer]).unwrap();
    let (tool, alias) = (root.join("bin/tool").metadata().unwrap(), root.join("alias").metadata().unwrap());
    assert_eq!((tool.ino(), tool.nlink()), (alias.ino(), 3));
    assert_eq!((tool.mode() & 0o7777, tool.uid(), tool.mtime()), (0o4755, 7, 1_000_000_000));
    assert_eq!(std::fs::read(root.join("alias")).unwrap(), b"tool");
    assert_eq!(root.join("bin").metadata().unwrap().mode() & 0o7777, 0o750);
    assert_eq!(root.join("l").read_link().unwrap(), Path::new("tool"));
}

#[test]
fn later_entries_win() {
    let setup = Setup::new();
    let layer = Tar::new()
        .file("f", "first")
        .file("f", "second")
        .directory("d", 0o755)
        .file("d/inside", "")
        .file("d", "now a file")
        .symlink("s", "f")
        .file("s", "now a file")
        .file("x", "")
        .directory("x", 0o711)
        .file("x/y", "")
        .directory("twice", 0o700)
        .file("twice/kept", "")
        .directory("twice", 0o711)
        .hard_link("f", "f")
        .end();
    let root = setup.unpack(&[layer]).unwrap();
    assert_eq!(std::fs::read(root.join("f")).unwrap(), b"second");
    assert_eq!(std::fs::read(root.join("d")).unwrap(), b"now a file");
    assert!(root.join("s").symlink_metadata().unwrap().is_file());
    assert!(root.join("x/y").exists() && root.join("twice/kept").exists());
    assert_eq!(root.join("twice").metadata().unwrap().mode() & 0o7777, 0o711);
}

#[test]
fn the_root_directory_is_inherited_unless_the_layer_has_one() {
    let setup = Setup::new();
    let base = Tar::new().directory("./", 0o711).end();
    let silent = Tar::new().file("f", "").end();
    let root = setup.unpack(&[base.clone(), silent.clone()]).unwrap();
    assert_eq!(root.metadata().unwrap().mode() & 0o7777, 0o711);
    let root = setup.unpack(&[base, silent, Tar::new().directory("/", 0o700).end()]).unwrap();
    assert_eq!(root.metadata().unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn zeros_and_sparse_files_take_no_room() {
    let setup = Setup::new();
    let mut data = vec![0u8; 4 << 20];
    data[3 << 20] = 1;
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("sparse")).unwrap();
    file.set_len(4 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[1], 3 << 20).unwrap();
    let output = std::process::Command::new("tar")
        .args(["--format=pax", "--sparse", "--hole-detection=raw", "-C"])
        .arg(directory.path())
        .args(["-cf", "-", "sparse"])
        .output()
        .unwrap();
    let plain = Tar::new().entry(b'0', "zeros", |_| {}, &data).end();
    let (sparse, zeros) = (output.stdout, plain);
    assert!(sparse.len() < 1 << 20, "tar knows the holes");
    let root = setup.unpack(&[zeros, sparse]).unwrap();
    let sparse = root.join("sparse");
    assert!(std::fs::read(&sparse).unwrap() == data);
    assert!(sparse.metadata().unwrap().blocks() * 512 < 2 << 20);
    let image = setup.store.resolve(&setup.conn, "test").unwrap();
    let zeros = image.layer_dirs[0].join("zeros");
    assert!(std::fs::read(&zeros).unwrap() == data);
    assert!(zeros.metadata().unwrap().blocks() * 512 < 2 << 20);
    assert_eq!(image.size, 8 << 20);
}

#[test]
fn devices_of_dev_are_left_out() {
    let setup = Setup::new();
    let layer =
        Tar::new().directory("dev", 0o755).device(b'4', "dev/sda", 8, 0).device(b'3', "dev/mem", 1, 1).end();
    let root = setup.unpack(&[layer]).unwrap();
    assert_eq!(std::fs::read_dir(root.join("dev")).unwrap().count(), 0);
}

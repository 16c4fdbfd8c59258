//! Looking up, making, moving and removing names.

use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use crate::config::CacheMode::{Coherent, Private};
use crate::virtio::fs::protocol::attr::encode_device;
use crate::virtio::fs::protocol::requests::{
    CreateIn, LinkIn, MkdirIn, MknodIn, OpenOut, Rename2In, RenameIn,
};
use crate::virtio::fs::protocol::{EntryOut, Opcode, ROOT_ID};
use crate::virtio::fs::test_client::{Client, body, text};

fn mkdir(client: &Client, parent: u64, name: &str, mode: u32, umask: u32) -> Result<EntryOut, Errno> {
    let request = MkdirIn { mode, umask };
    client.ask(Opcode::Mkdir, parent, &body(&[request.as_bytes(), &text(name)]))
}

fn mknod(client: &Client, name: &str, mode: u32, rdev: u32) -> Result<EntryOut, Errno> {
    let request = MknodIn { mode, rdev, umask: 0o022, padding: 0 };
    client.ask(Opcode::Mknod, ROOT_ID, &body(&[request.as_bytes(), &text(name)]))
}

fn rename2(client: &Client, from: (u64, &str), to: (u64, &str), flags: u32) -> Result<Vec<u8>, Errno> {
    let request = Rename2In { newdir: to.0, flags, padding: 0 };
    client.call(Opcode::Rename2, from.0, &body(&[request.as_bytes(), &text(from.1), &text(to.1)]))
}

#[test]
fn lookup_finds_what_is_there() {
    for cache in [Private, Coherent] {
        let client = Client::new(cache, false);
        std::fs::create_dir(client.path("d")).unwrap();
        std::fs::write(client.path("d/f"), "text").unwrap();
        let file = client.lookup(client.node("d"), "f").unwrap();
        let host = std::fs::metadata(client.path("d/f")).unwrap();
        assert_eq!((file.attr.ino, file.attr.size, file.attr.mode), (host.ino(), 4, host.mode()));
        assert_eq!(file.attr.flags, 0);
        // One inode is one node, however often and wherever it is looked up.
        std::fs::hard_link(client.path("d/f"), client.path("g")).unwrap();
        assert_eq!(client.lookup(ROOT_ID, "g").unwrap().nodeid, file.nodeid);
        assert_eq!(client.lookup(file.nodeid, "x").unwrap_err(), Errno::NOTDIR);
    }
}

#[test]
fn only_a_private_share_lets_the_guest_cache() {
    for (cache, valid) in [(Private, true), (Coherent, false)] {
        let client = Client::new(cache, false);
        std::fs::write(client.path("f"), "").unwrap();
        let entry = client.lookup(ROOT_ID, "f").unwrap();
        assert_eq!((entry.entry_valid > 0, entry.attr_valid > 0), (valid, valid));
        let missing = client.lookup(ROOT_ID, "nope").map(|entry| (entry.nodeid, entry.entry_valid > 0));
        assert_eq!(missing, if valid { Ok((0, true)) } else { Err(Errno::NOENT) });
    }
}

#[test]
fn directories_and_nodes_get_mode_umask_and_type() {
    let client = Client::new(Private, false);
    let made = mkdir(&client, ROOT_ID, "d", 0o1777, 0o027).unwrap();
    assert_eq!(made.attr.mode, libc::S_IFDIR | 0o1750);
    assert_eq!(mkdir(&client, ROOT_ID, "d", 0o777, 0).unwrap_err(), Errno::EXIST);
    assert_eq!(mknod(&client, "file", libc::S_IFREG | 0o666, 0).unwrap().attr.mode, libc::S_IFREG | 0o644);
    assert!(mknod(&client, "fifo", libc::S_IFIFO | 0o600, 0).is_ok());
    assert!(mknod(&client, "socket", libc::S_IFSOCK | 0o600, 0).is_ok());
    let device = mknod(&client, "null", libc::S_IFCHR | 0o600, encode_device(1, 3)).unwrap();
    assert_eq!(device.attr.rdev, encode_device(1, 3));
    let host = std::fs::metadata(client.path("null")).unwrap();
    assert!(host.file_type().is_char_device() && host.rdev() == libc::makedev(1, 3));
    assert_eq!(mknod(&client, "x", libc::S_IFLNK, 0).unwrap_err(), Errno::INVAL);
    assert_eq!(mknod(&client, "x", libc::S_IFDIR, 0).unwrap_err(), Errno::INVAL);
}

#[test]
fn new_inodes_belong_to_the_guests_user() {
    let mut client = Client::new(Private, false);
    for (uid, gid) in [(1234, 5678), (0, 0), (99, 0), (0, 5)] {
        (client.uid, client.gid) = (uid, gid);
        let name = format!("by-{uid}-{gid}");
        mkdir(&client, ROOT_ID, &name, 0o755, 0).unwrap();
        let host = std::fs::metadata(client.path(&name)).unwrap();
        assert_eq!((host.uid(), host.gid()), (uid, gid));
    }
}

#[test]
fn symlinks_are_made_and_read_and_never_followed() {
    let client = Client::new(Private, false);
    let made: EntryOut =
        client.ask(Opcode::Symlink, ROOT_ID, &body(&[&text("l"), &text("/etc/passwd")])).unwrap();
    assert_eq!(made.attr.mode & libc::S_IFMT, libc::S_IFLNK);
    assert_eq!(client.call(Opcode::Readlink, made.nodeid, &[]).unwrap(), b"/etc/passwd");
    assert_eq!(client.open(made.nodeid, libc::O_RDONLY).unwrap_err(), Errno::LOOP);
    assert_eq!(client.lookup(made.nodeid, "x").unwrap_err(), Errno::NOTDIR);
    assert_eq!(client.call(Opcode::Readlink, ROOT_ID, &[]).unwrap_err(), Errno::INVAL);
    let long = text(vec![b'a'; 4096]);
    let too_long = client.call(Opcode::Symlink, ROOT_ID, &body(&[&text("m"), &long]));
    assert_eq!(too_long.unwrap_err(), Errno::NAMETOOLONG);
}

#[test]
fn create_makes_and_opens_at_once() {
    for cache in [Private, Coherent] {
        let mut client = Client::new(cache, false);
        (client.uid, client.gid) = (7, 8);
        let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR | libc::O_EXCL, 0o666).unwrap();
        assert_eq!(client.write(node, fh, 0, b"hello"), Ok(5));
        assert_eq!(client.read(node, fh, 1, 100).unwrap(), b"ello");
        let host = std::fs::metadata(client.path("f")).unwrap();
        assert_eq!((host.uid(), host.gid(), host.mode()), (7, 8, libc::S_IFREG | 0o644));
        assert_eq!(
            client.create(ROOT_ID, "f", libc::O_RDWR | libc::O_EXCL, 0o666).unwrap_err(),
            Errno::EXIST
        );
        let (again, other) = client.create(ROOT_ID, "f", libc::O_RDWR | libc::O_TRUNC, 0o666).unwrap();
        assert_eq!(again, node);
        assert_eq!(client.read(node, other, 0, 100).unwrap(), b"");
    }
}

#[test]
fn create_on_a_fifo_that_appeared_meanwhile_does_not_open_it() {
    let client = Client::new(Coherent, false);
    rustix::fs::mkfifoat(rustix::fs::CWD, client.path("f"), 0o600.into()).unwrap();
    assert_eq!(client.create(ROOT_ID, "f", libc::O_WRONLY, 0o600).unwrap_err(), Errno::NXIO);
}

#[test]
fn files_without_a_name_can_get_one() {
    let client = Client::new(Private, false);
    let request = CreateIn { flags: libc::O_RDWR as u32, mode: 0o640, umask: 0, open_flags: 0 };
    let reply = client.call(Opcode::Tmpfile, ROOT_ID, &body(&[request.as_bytes(), &text("#1")])).unwrap();
    let (entry, open) = EntryOut::read_from_prefix(&reply).unwrap();
    let fh = OpenOut::read_from_bytes(open).unwrap().fh;
    assert_eq!(std::fs::read_dir(client.dir.path()).unwrap().count(), 0);
    client.write(entry.nodeid, fh, 0, b"x").unwrap();
    let link = LinkIn { oldnodeid: entry.nodeid };
    let linked: EntryOut =
        client.ask(Opcode::Link, ROOT_ID, &body(&[link.as_bytes(), &text("named")])).unwrap();
    assert_eq!((linked.nodeid, linked.attr.nlink), (entry.nodeid, 1));
    assert_eq!(std::fs::read(client.path("named")).unwrap(), b"x");
}

#[test]
fn links_are_to_the_inode_even_if_it_is_a_symlink() {
    let client = Client::new(Private, false);
    std::fs::write(client.path("f"), "").unwrap();
    symlink("f", client.path("l")).unwrap();
    for name in ["f", "l"] {
        let old = client.lookup(ROOT_ID, name).unwrap();
        let link = LinkIn { oldnodeid: old.nodeid };
        let new = format!("{name}2");
        let linked: EntryOut =
            client.ask(Opcode::Link, ROOT_ID, &body(&[link.as_bytes(), &text(&new)])).unwrap();
        assert_eq!((linked.nodeid, linked.attr.nlink), (old.nodeid, 2));
    }
    let link = LinkIn { oldnodeid: ROOT_ID };
    let of_directory = client.call(Opcode::Link, ROOT_ID, &body(&[link.as_bytes(), &text("d")]));
    assert_eq!(of_directory.unwrap_err(), Errno::PERM);
}

#[test]
fn names_are_removed() {
    let client = Client::new(Private, false);
    mkdir(&client, ROOT_ID, "d", 0o755, 0).unwrap();
    std::fs::write(client.path("d/f"), "").unwrap();
    let dir = client.node("d");
    assert_eq!(client.call(Opcode::Rmdir, ROOT_ID, &text("d")).unwrap_err(), Errno::NOTEMPTY);
    assert_eq!(client.call(Opcode::Unlink, ROOT_ID, &text("d")).unwrap_err(), Errno::ISDIR);
    assert_eq!(client.call(Opcode::Rmdir, dir, &text("f")).unwrap_err(), Errno::NOTDIR);
    client.call(Opcode::Unlink, dir, &text("f")).unwrap();
    client.call(Opcode::Rmdir, ROOT_ID, &text("d")).unwrap();
    assert_eq!(std::fs::read_dir(client.dir.path()).unwrap().count(), 0);
    assert_eq!(client.call(Opcode::Unlink, ROOT_ID, &text("d")).unwrap_err(), Errno::NOENT);
}

#[test]
fn names_are_moved_with_every_flag() {
    let client = Client::new(Private, false);
    for name in ["a", "b"] {
        std::fs::write(client.path(name), name).unwrap();
    }
    mkdir(&client, ROOT_ID, "d", 0o755, 0).unwrap();
    let dir = client.node("d");
    let read = |name: &str| std::fs::read_to_string(client.path(name));
    let exists = rename2(&client, (ROOT_ID, "a"), (ROOT_ID, "b"), libc::RENAME_NOREPLACE);
    assert_eq!(exists.unwrap_err(), Errno::EXIST);
    rename2(&client, (ROOT_ID, "a"), (ROOT_ID, "b"), libc::RENAME_EXCHANGE).unwrap();
    assert_eq!((read("a").unwrap(), read("b").unwrap()), ("b".into(), "a".into()));
    rename2(&client, (ROOT_ID, "a"), (dir, "c"), 0).unwrap();
    assert_eq!(read("d/c").unwrap(), "b");
    let request = RenameIn { newdir: ROOT_ID };
    let move_back = body(&[request.as_bytes(), &text("c"), &text("b")]);
    client.call(Opcode::Rename, dir, &move_back).unwrap();
    assert_eq!(read("b").unwrap(), "b");
    assert_eq!(rename2(&client, (ROOT_ID, "b"), (ROOT_ID, "x"), 8).unwrap_err(), Errno::INVAL);
    rename2(&client, (ROOT_ID, "b"), (ROOT_ID, "x"), libc::RENAME_WHITEOUT).unwrap();
    let whiteout = std::fs::metadata(client.path("b")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
}

//! What must not happen, one advisory or trick each.

use std::os::unix::fs::{MetadataExt, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use crate::config::CacheMode::{Coherent, Private};
use crate::virtio::fs::protocol::flags::{FATTR_MODE, WRITE_KILL_SUIDGID};
use crate::virtio::fs::protocol::requests::{
    CreateIn, GetxattrIn, LinkIn, MkdirIn, MknodIn, Rename2In, RenameIn, SetxattrExt, SetxattrIn, WriteIn,
};
use crate::virtio::fs::protocol::{EntryOut, InHeader, Opcode, ROOT_ID, SetattrIn};
use crate::virtio::fs::test_client::{Client, body, text};

/// Requests with the name in every place that takes one.
fn requests_with(name: &[u8], node: u64) -> Vec<(Opcode, Vec<u8>)> {
    let (bad, good) = (text(name), text("good"));
    let rename2 = Rename2In { newdir: ROOT_ID, flags: 0, padding: 0 };
    vec![
        (Opcode::Lookup, bad.clone()),
        (Opcode::Symlink, body(&[&bad, &text("target")])),
        (Opcode::Mknod, body(&[MknodIn { mode: 0o100_644, ..MknodIn::default() }.as_bytes(), &bad])),
        (Opcode::Mkdir, body(&[MkdirIn { mode: 0o755, umask: 0 }.as_bytes(), &bad])),
        (Opcode::Unlink, bad.clone()),
        (Opcode::Rmdir, bad.clone()),
        (Opcode::Rename, body(&[RenameIn { newdir: ROOT_ID }.as_bytes(), &bad, &good])),
        (Opcode::Rename, body(&[RenameIn { newdir: ROOT_ID }.as_bytes(), &good, &bad])),
        (Opcode::Rename2, body(&[rename2.as_bytes(), &bad, &good])),
        (Opcode::Rename2, body(&[rename2.as_bytes(), &good, &bad])),
        (Opcode::Link, body(&[LinkIn { oldnodeid: node }.as_bytes(), &bad])),
        (
            Opcode::Create,
            body(&[CreateIn { flags: 2, mode: 0o100_644, ..CreateIn::default() }.as_bytes(), &bad]),
        ),
    ]
}

/// CVE-2026-47243: a raw FUSE_SYMLINK with an absolute name left the share.
#[test]
fn hostile_names_are_refused_for_every_request() {
    let outside = tempfile::tempdir().unwrap();
    let client = Client::new(Private, false);
    std::fs::write(client.path("good"), "good").unwrap();
    std::fs::create_dir(client.path("d")).unwrap();
    let (node, dir) = (client.node("good"), client.node("d"));
    let escape = outside.path().join("escaped");
    let long = "x".repeat(256);
    let relative = format!("../../../../../../../../{}", escape.display());
    let names =
        ["", ".", "..", "/", "a/b", "../good", "d/..", "good/", &long, &relative, escape.to_str().unwrap()];
    for name in names {
        for (opcode, request) in requests_with(name.as_bytes(), node) {
            for parent in [ROOT_ID, dir] {
                let error = client.call(opcode, parent, &request).unwrap_err();
                let expected = if name.len() > 255 { Errno::NAMETOOLONG } else { Errno::INVAL };
                assert_eq!(error, expected, "{opcode:?} {name:?}");
            }
        }
    }
    assert!(!escape.exists());
    assert_eq!(std::fs::read(client.path("good")).unwrap(), b"good");
    assert_eq!(std::fs::read_dir(client.path("d")).unwrap().count(), 0);
    // A name that does not end in the request is none.
    for (opcode, request) in requests_with(b"name", node) {
        let cut = request.len() - 1;
        if !matches!(opcode, Opcode::Rename | Opcode::Rename2 | Opcode::Symlink)
            || request[cut - 4..cut] == *b"name"
        {
            assert_eq!(
                client.call(opcode, ROOT_ID, &request[..cut]).unwrap_err(),
                Errno::INVAL,
                "{opcode:?}"
            );
        }
    }
}

#[test]
fn a_symlink_in_place_of_a_directory_is_not_walked_through() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "").unwrap();
    let client = Client::new(Coherent, false);
    std::fs::create_dir(client.path("d")).unwrap();
    let dir = client.node("d");
    // The host replaces the directory: the guest's node stays what it was.
    std::fs::rename(client.path("d"), client.path("moved")).unwrap();
    symlink(outside.path(), client.path("d")).unwrap();
    assert_eq!(client.lookup(dir, "secret").unwrap_err(), Errno::NOENT);
    let link = client.lookup(ROOT_ID, "d").unwrap();
    assert_ne!(link.nodeid, dir);
    for (opcode, request) in requests_with(b"secret", dir) {
        if opcode != Opcode::Link {
            assert_eq!(client.call(opcode, link.nodeid, &request).unwrap_err(), Errno::NOTDIR, "{opcode:?}");
        }
    }
}

/// CVE-2020-35517: special files of the host must not be opened.
#[test]
fn special_files_are_never_opened() {
    let client = Client::new(Private, false);
    let make = |name: &str, kind, device| {
        mknodat(CWD, client.path(name), kind, Mode::from_raw_mode(0o666), device).unwrap();
    };
    make("fifo", FileType::Fifo, 0);
    make("socket", FileType::Socket, 0);
    make("null", FileType::CharacterDevice, libc::makedev(1, 3));
    make("loop", FileType::BlockDevice, libc::makedev(7, 200));
    for name in ["fifo", "socket", "null", "loop"] {
        let node = client.node(name);
        for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR | libc::O_TRUNC] {
            assert_eq!(client.open(node, flags).unwrap_err(), Errno::NXIO, "{name}");
        }
        assert_eq!(client.opendir(node).unwrap_err(), Errno::NOTDIR);
        assert_eq!(client.create(ROOT_ID, name, libc::O_RDWR, 0o600).unwrap_err(), Errno::NXIO);
        assert_eq!(client.call(Opcode::Syncfs, node, &[0; 8]).unwrap_err(), Errno::NXIO);
        // What needs no open works.
        let mode = SetattrIn { valid: FATTR_MODE, mode: 0o640, ..SetattrIn::default() };
        assert_eq!(client.setattr(node, &mode).unwrap().mode & 0o7777, 0o640);
        assert!(
            client.call(Opcode::Listxattr, node, GetxattrIn { size: 100, padding: 0 }.as_bytes()).is_ok()
        );
    }
}

/// A device node in a directory that users of the host see would be a door to the host's devices.
#[test]
fn a_coherent_share_gets_no_device_nodes() {
    let client = Client::new(Coherent, false);
    for (mode, rdev, expected) in [
        (libc::S_IFBLK | 0o666, 0x0800, Err(Errno::PERM)),
        (libc::S_IFCHR | 0o666, 0x0103, Err(Errno::PERM)),
        (libc::S_IFBLK | 0o666, 0, Err(Errno::PERM)),
        (libc::S_IFCHR | 0o600, 0, Ok(())),
    ] {
        let request = MknodIn { mode, rdev, umask: 0, padding: 0 };
        let made = client.call(Opcode::Mknod, ROOT_ID, &body(&[request.as_bytes(), &text("dev")]));
        assert_eq!(made.map(drop), expected);
    }
}

/// CVE-2021-20263: a write must take file capabilities and set-user-id bits away.
#[test]
fn writing_drops_file_capabilities_and_set_user_id() {
    let client = Client::new(Private, false);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    // VFS_CAP_REVISION_2, effective, CAP_NET_RAW.
    let capability = [0x0200_0001_u32, 1 << 13, 0, 0, 0];
    let set = || {
        let fixed = SetxattrIn { size: 20, flags: 0 };
        let name = text("security.capability");
        let more = SetxattrExt::default();
        let parts = [fixed.as_bytes(), more.as_bytes(), &name, capability.as_bytes()];
        client.call(Opcode::Setxattr, node, &body(&parts)).unwrap();
        let mode = SetattrIn { valid: FATTR_MODE, mode: 0o6755, ..SetattrIn::default() };
        client.setattr(node, &mode).unwrap();
    };
    let get = || {
        let request = body(&[GetxattrIn { size: 100, padding: 0 }.as_bytes(), &text("security.capability")]);
        client.call(Opcode::Getxattr, node, &request)
    };
    set();
    assert_eq!(get().unwrap(), capability.as_bytes());
    // Written by root: the bits stay, as on the host, the capabilities go.
    client.write(node, fh, 0, b"x").unwrap();
    assert_eq!(get().unwrap_err(), Errno::NODATA);
    assert_eq!(client.attr(node).unwrap().mode & 0o7777, 0o6755);
    set();
    let request = WriteIn { fh, size: 1, write_flags: WRITE_KILL_SUIDGID, ..WriteIn::default() };
    client.write_as(node, &request, b"y").unwrap();
    assert_eq!(get().unwrap_err(), Errno::NODATA);
    assert_eq!(client.attr(node).unwrap().mode & 0o7777, 0o755);
}

/// CVE-2022-0358: set-group-id of a group that the caller is not in.
#[test]
fn set_group_id_needs_membership() {
    let mut client = Client::new(Private, false);
    std::fs::create_dir(client.path("d")).unwrap();
    std::os::unix::fs::chown(client.path("d"), None, Some(500)).unwrap();
    rustix::fs::chmod(client.path("d"), Mode::from_raw_mode(0o2777)).unwrap();
    let dir = client.node("d");
    let create = |client: &Client, name: &str, groups: &[u32]| {
        let request = CreateIn { flags: 2, mode: 0o102_775, ..CreateIn::default() };
        let mut extension = Vec::new();
        if !groups.is_empty() {
            extension.extend_from_slice([12 + 4 * groups.len() as u32, 32, groups.len() as u32].as_bytes());
            extension.extend_from_slice(groups.as_bytes());
            extension.resize(extension.len().next_multiple_of(8), 0);
        }
        let message = body(&[request.as_bytes(), &text(name), &extension]);
        let mut raw = client.request(Opcode::Create as u32, dir, &message);
        let mut header = InHeader::read_from_prefix(&raw).unwrap().0;
        header.total_extlen = (extension.len() / 8) as u16;
        raw[..40].copy_from_slice(header.as_bytes());
        let (_, reply) = client.send(&raw, 4096);
        let entry = EntryOut::read_from_prefix(&reply[16..]).unwrap().0;
        assert_eq!(entry.attr.gid, 500);
        entry.attr.mode & 0o7777
    };
    (client.uid, client.gid) = (1000, 1000);
    assert_eq!(create(&client, "stranger", &[]), 0o775);
    assert_eq!(create(&client, "other group", &[501]), 0o775);
    assert_eq!(create(&client, "member", &[500]), 0o2775);
    client.gid = 500;
    assert_eq!(create(&client, "own group", &[]), 0o2775);
    (client.uid, client.gid) = (0, 0);
    assert_eq!(create(&client, "root", &[]), 0o2775);
}

/// A guest that sends the id -1 must not get what the server is.
#[test]
fn nobody_creates_as_no_user() {
    let mut client = Client::new(Private, false);
    client.uid = u32::MAX;
    assert_eq!(client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap_err(), Errno::INVAL);
    assert_eq!(std::fs::read_dir(client.dir.path()).unwrap().count(), 0);
}

/// What the threads of the server set for themselves must not be the whole process's.
#[test]
fn umask_and_directory_of_the_process_are_left_alone() {
    let before = (std::env::current_dir().unwrap(), std::fs::metadata("/proc/self/cwd").unwrap().ino());
    std::thread::spawn(|| {
        let client = Client::new(Private, false);
        client.create(ROOT_ID, "f", libc::O_RDWR, 0o666).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(
        (std::env::current_dir().unwrap(), std::fs::metadata("/proc/self/cwd").unwrap().ino()),
        before
    );
}

//! The session, the read-only wrapper, and messages that no kernel would send.

use proptest::prelude::*;
use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::*;
use crate::config::CacheMode::{self, Coherent, Private};
use crate::virtio::fs::protocol::requests::{
    CopyFileRangeIn, CreateIn, FallocateIn, FileLock, LinkIn, LkIn, MkdirIn, MknodIn, ReadIn, Rename2In,
    RenameIn, SetxattrExt, SetxattrIn,
};
use crate::virtio::fs::protocol::{InitFlags, InitOut, OutHeader, ROOT_ID, SetattrIn};
use crate::virtio::fs::test_client::{Client, LIMITS, body, text};

/// A request of each kind that changes something, on a file and with a handle.
fn changes(node: u64, fh: u64) -> Vec<(Opcode, u64, Vec<u8>)> {
    let name = text("f");
    let new = text("new");
    let create = CreateIn { flags: 2, mode: 0o100_644, ..CreateIn::default() };
    let write = WriteIn { fh, size: 1, ..WriteIn::default() };
    let rename2 = Rename2In { newdir: ROOT_ID, ..Rename2In::default() };
    let setxattr = SetxattrIn { size: 1, flags: 0 };
    let fallocate = FallocateIn { fh, length: 10, ..FallocateIn::default() };
    let copy = CopyFileRangeIn {
        fh_in: fh,
        nodeid_out: node,
        fh_out: fh,
        off_out: 10,
        len: 1,
        ..Default::default()
    };
    vec![
        (Opcode::Setattr, node, SetattrIn { valid: 8, ..SetattrIn::default() }.as_bytes().to_vec()),
        (Opcode::Symlink, ROOT_ID, body(&[&new, &name])),
        (Opcode::Mknod, ROOT_ID, body(&[MknodIn { mode: 0o100_644, ..Default::default() }.as_bytes(), &new])),
        (Opcode::Mkdir, ROOT_ID, body(&[MkdirIn::default().as_bytes(), &new])),
        (Opcode::Unlink, ROOT_ID, name.clone()),
        (Opcode::Rmdir, ROOT_ID, text("d")),
        (Opcode::Rename, ROOT_ID, body(&[RenameIn { newdir: ROOT_ID }.as_bytes(), &name, &new])),
        (Opcode::Rename2, ROOT_ID, body(&[rename2.as_bytes(), &name, &new])),
        (Opcode::Link, ROOT_ID, body(&[LinkIn { oldnodeid: node }.as_bytes(), &new])),
        (Opcode::Write, node, body(&[write.as_bytes(), b"x"])),
        (Opcode::Create, ROOT_ID, body(&[create.as_bytes(), &new])),
        (Opcode::Tmpfile, ROOT_ID, body(&[create.as_bytes(), &new])),
        (
            Opcode::Setxattr,
            node,
            body(&[setxattr.as_bytes(), SetxattrExt::default().as_bytes(), &text("user.x"), b"v"]),
        ),
        (Opcode::Removexattr, node, text("user.y")),
        (Opcode::Fallocate, node, fallocate.as_bytes().to_vec()),
        (Opcode::CopyFileRange, node, copy.as_bytes().to_vec()),
    ]
}

fn populate(client: &Client) {
    std::fs::write(client.path("f"), "text").unwrap();
    std::fs::create_dir(client.path("d")).unwrap();
    rustix::fs::setxattr(client.path("f"), "user.y", b"1", rustix::fs::XattrFlags::empty()).unwrap();
}

/// CVE-2026-46695: read-only was enforced by the guest's kernel alone.
#[test]
fn a_read_only_share_refuses_every_change_with_erofs() {
    let client = Client::new(Coherent, true);
    populate(&client);
    let node = client.node("f");
    let fh = client.open(node, libc::O_RDONLY).unwrap();
    for (opcode, target, request) in changes(node, fh) {
        assert_eq!(client.call(opcode, target, &request), Err(Errno::ROFS), "{opcode:?}");
    }
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_TRUNC, libc::O_RDWR | libc::O_APPEND, 3] {
        assert_eq!(client.open(node, flags), Err(Errno::ROFS), "{flags:o}");
    }
    for opcode in [Opcode::Ioctl, Opcode::SetupMapping, Opcode::RemoveMapping, Opcode::Access] {
        assert_eq!(client.call(opcode, node, &[0; 64]), Err(Errno::ROFS), "{opcode:?}");
    }
    assert_eq!(std::fs::read(client.path("f")).unwrap(), b"text");
    assert_eq!(std::fs::read_dir(client.dir.path()).unwrap().count(), 2);
}

#[test]
fn the_same_changes_succeed_on_a_writable_share() {
    for (index, (opcode, ..)) in changes(0, 0).into_iter().enumerate() {
        let client = Client::new(Coherent, false);
        populate(&client);
        let node = client.node("f");
        let fh = client.open(node, libc::O_RDWR).unwrap();
        let (_, target, request) = changes(node, fh).swap_remove(index);
        client.call(opcode, target, &request).unwrap_or_else(|errno| panic!("{opcode:?}: {errno}"));
    }
}

#[test]
fn a_read_only_share_can_be_read_and_locked() {
    let client = Client::new(Coherent, true);
    populate(&client);
    let node = client.node("f");
    let fh = client.open(node, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(node, fh, 0, 10).unwrap(), b"text");
    let dir = client.opendir(ROOT_ID).unwrap();
    assert_eq!(client.list(ROOT_ID, dir, 0, 4096, true).unwrap().0.len(), 4);
    let lock = |kind: i32| {
        let lk = FileLock { start: 0, end: 5, kind: kind as u32, pid: 1 };
        let request = LkIn { fh, owner: 1, lk, lk_flags: 0, padding: 0 };
        client.call(Opcode::Setlk, node, request.as_bytes()).map(drop)
    };
    assert_eq!(lock(libc::F_RDLCK), Ok(()));
    assert_eq!(lock(libc::F_WRLCK), Err(Errno::BADF));
}

#[test]
fn init_agrees_on_what_both_know() {
    let client = Client::new(Private, false);
    let all = client.init(u64::MAX);
    assert_eq!((all.major, all.minor, all.max_write, all.max_pages), (7, 41, 1 << 20, 256));
    let flags = InitFlags(u64::from(all.flags) | u64::from(all.flags2) << 32);
    for wanted in [InitFlags::WRITEBACK_CACHE, InitFlags::HANDLE_KILLPRIV_V2, InitFlags::CREATE_SUPP_GROUP] {
        assert!(flags.contains(wanted), "{wanted:?}");
    }
    // Neither splice, nor SECURITY_CTX, nor DAX, nor passthrough.
    assert_eq!(flags.0 & (0b111 << 7 | 1 << 32 | 1 << 33 | 1 << 37), 0);
    assert_eq!(client.init(0).flags, 0);
    // Without INIT_EXT the high word is not there.
    assert_eq!(client.init(!(1 << 30)).flags2, 0);
}

#[test]
fn versions_are_negotiated() {
    let init = |major: u32, minor: u32| {
        let client = Client::unstarted(tempfile::tempdir().unwrap(), Private, false, LIMITS);
        client
            .ask::<InitOut>(Opcode::Init, 0, [major, minor, 0, 0].as_bytes())
            .map(|out| (out.major, out.minor))
    };
    assert_eq!(init(7, 31), Ok((7, 31)));
    assert_eq!(init(7, 99), Ok((7, 41)));
    assert_eq!(init(8, 0), Ok((7, 41)));
    assert_eq!(init(7, 27), Err(Errno::PROTO));
    assert_eq!(init(6, 40), Err(Errno::PROTO));
}

#[test]
fn nothing_is_served_before_init_and_after_destroy() {
    let client = Client::unstarted(tempfile::tempdir().unwrap(), Private, false, LIMITS);
    assert_eq!(client.attr(ROOT_ID), Err(Errno::IO));
    client.init(u64::MAX);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    client.call(Opcode::Destroy, 0, &[]).unwrap();
    assert_eq!(client.attr(ROOT_ID), Err(Errno::IO));
    client.init(u64::MAX);
    assert_eq!(client.attr(node), Err(Errno::STALE));
    assert_eq!(client.read(node, fh, 0, 1), Err(Errno::BADF));
    assert_ne!(client.node("f"), node);
}

#[test]
fn the_header_must_agree_with_the_memory_it_came_in() {
    let client = Client::new(Private, false);
    let good = client.request(Opcode::Getattr as u32, ROOT_ID, &[0; 16]);
    let with_len = |len: u32| {
        let mut request = good.clone();
        request[..4].copy_from_slice(&len.to_ne_bytes());
        let (_, reply) = client.send(&request, 4096);
        OutHeader::read_from_prefix(&reply).unwrap().0.error
    };
    assert_eq!(with_len(56), 0);
    for len in [0, 39, 40, 55, 57, 1 << 20, u32::MAX] {
        assert_eq!(with_len(len), -libc::EINVAL, "{len}");
    }
    // More extensions than there is request.
    let mut request = good.clone();
    request[36..38].copy_from_slice(&3_u16.to_ne_bytes());
    let (_, reply) = client.send(&request, 4096);
    assert_eq!(OutHeader::read_from_prefix(&reply).unwrap().0.error, -libc::EINVAL);
    for len in 0..40 {
        assert!(client.send(&good[..len], 4096).1.is_empty());
    }
}

#[test]
fn replies_that_do_not_fit_are_errors_or_nothing() {
    let client = Client::new(Private, false);
    let request = client.request(Opcode::Getattr as u32, ROOT_ID, &[0; 16]);
    for room in [0, 1, 15] {
        assert!(client.send(&request, room).1.is_empty());
    }
    for room in [16, 100, 119] {
        let (_, reply) = client.send(&request, room);
        assert_eq!(OutHeader::read_from_prefix(&reply).unwrap().0.error, -libc::EIO);
    }
    assert_eq!(client.send(&request, 120).1.len(), 120);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let read = ReadIn { fh, size: 100, ..ReadIn::default() };
    let request = client.request(Opcode::Read as u32, node, read.as_bytes());
    let (_, reply) = client.send(&request, 115);
    assert_eq!(OutHeader::read_from_prefix(&reply).unwrap().0.error, -libc::EINVAL);
}

#[test]
fn unknown_requests_are_answered_with_enosys() {
    let client = Client::new(Private, false);
    for opcode in [0, 7, 19, 53, 100, 4096, 1_048_576, 436_207_616, u32::MAX] {
        let (_, reply) = client.send(&client.request(opcode, ROOT_ID, &[0; 100]), 4096);
        assert_eq!(OutHeader::read_from_prefix(&reply).unwrap().0.error, -libc::ENOSYS, "{opcode}");
    }
}

#[test]
fn every_request_survives_an_empty_and_a_zero_body() {
    for cache in [Private, Coherent] {
        let client = Client::new(cache, false);
        for opcode in Opcode::ALL {
            for len in [0, 1, 8, 16, 64, 4096, 70_000, 1 << 20] {
                let request = client.request(opcode as u32, ROOT_ID, &vec![0; len]);
                client.send(&request, 1 << 20);
            }
            client.init(u64::MAX);
        }
    }
}

#[test]
fn forgetting_more_than_there_is_does_no_harm() {
    let client = Client::new(Private, false);
    std::fs::write(client.path("f"), "").unwrap();
    let node = client.node("f");
    assert_eq!(client.node("f"), node);
    client.forget(node, 1);
    assert!(client.attr(node).is_ok());
    client.forget(node, u64::MAX);
    assert_eq!(client.attr(node), Err(Errno::STALE));
    client.forget(node, 1);
    client.forget(u64::MAX, u64::MAX);
    client.forget(0, 1);
    client.forget(ROOT_ID, u64::MAX);
    assert!(client.attr(ROOT_ID).is_ok());
    let again = client.node("f");
    assert_ne!(again, node, "ids are not used twice");
    let batch = |count: u32, entries: &[u64]| {
        let message = body(&[[count, 0].as_bytes(), entries.as_bytes()]);
        let request = client.request(Opcode::BatchForget as u32, 0, &message);
        assert!(client.send(&request, 100).1.is_empty());
    };
    batch(u32::MAX, &[ROOT_ID, 1, 77, 1]);
    assert!(client.attr(again).is_ok());
    batch(2, &[again, 1, again, 1]);
    assert_eq!(client.attr(again), Err(Errno::STALE));
}

/// Requests that are nearly right: a real opcode, small numbers where ids and handles are, any bytes behind.
fn nearly_right() -> impl Strategy<Value = (u32, u64, u16, Vec<u8>)> {
    let opcode = prop_oneof![9 => 1_u32..54, 1 => any::<u32>()];
    let node =
        prop_oneof![4 => Just(ROOT_ID), 3 => (0_u64..4).prop_map(|low| 1 << 32 | low), 1 => any::<u64>()];
    let word = prop_oneof![
        4 => 0_u64..8,
        2 => (0_u64..4).prop_map(|low| 1 << 32 | low),
        1 => Just(u64::MAX),
        2 => any::<u64>(),
        2 => Just(u64::from_ne_bytes(*b"f\0../g\0a")),
    ];
    let message = (proptest::collection::vec(word, 0..24), 0..8_usize).prop_map(|(words, cut)| {
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes
    });
    (opcode, node, prop_oneof![9 => Just(0_u16), 1 => any::<u16>()], message)
}

fn survives(cache: CacheMode, read_only: bool, messages: &[(u32, u64, u16, Vec<u8>)]) {
    let outside = tempfile::tempdir().unwrap();
    let share = tempfile::tempdir_in(outside.path()).unwrap();
    let client = Client::over(share, cache, read_only, LIMITS);
    populate(&client);
    for (opcode, node, extensions, message) in messages {
        // Nothing that acts on the whole host.
        if [Opcode::Syncfs as u32, Opcode::Destroy as u32].contains(opcode) {
            continue;
        }
        let mut request = client.request(*opcode, *node, message);
        request[36..38].copy_from_slice(&extensions.to_ne_bytes());
        client.send(&request, 4096);
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "something left the share");
    if read_only {
        assert_eq!(std::fs::read(client.path("f")).unwrap(), b"text");
        assert_eq!(std::fs::read_dir(client.dir.path()).unwrap().count(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_message_panics_or_leaves_the_share(
        messages in proptest::collection::vec(nearly_right(), 1..40), private: bool, read_only: bool,
    ) {
        survives(if private { Private } else { Coherent }, read_only, &messages);
    }

    #[test]
    fn any_bytes_are_answered_or_dropped(bytes in proptest::collection::vec(any::<u8>(), 0..300), room in 0..200_usize) {
        let client = Client::new(Private, false);
        client.send(&bytes, room);
    }
}

//! Attributes, extended attributes, file systems.

use std::os::unix::fs::{MetadataExt, symlink};

use rustix::io::Errno;
use zerocopy::IntoBytes;

use crate::config::CacheMode::Private;
use crate::virtio::fs::protocol::flags::{
    FATTR_ATIME, FATTR_FH, FATTR_GID, FATTR_KILL_SUIDGID, FATTR_MODE, FATTR_MTIME, FATTR_MTIME_NOW,
    FATTR_SIZE, FATTR_UID,
};
use crate::virtio::fs::protocol::requests::{
    GetattrIn, GetxattrIn, SetxattrExt, SetxattrIn, StatfsOut, StatxIn,
};
use crate::virtio::fs::protocol::{Opcode, ROOT_ID, SetattrIn, StatxOut};
use crate::virtio::fs::test_client::{Client, body, text};

fn setxattr(client: &Client, node: u64, name: &str, value: &[u8]) -> Result<Vec<u8>, Errno> {
    let fixed = SetxattrIn { size: value.len() as u32, flags: 0 };
    let parts = [fixed.as_bytes(), SetxattrExt::default().as_bytes(), &text(name), value].concat();
    client.call(Opcode::Setxattr, node, &parts)
}

fn getxattr(client: &Client, node: u64, name: &str, size: u32) -> Result<Vec<u8>, Errno> {
    let fixed = GetxattrIn { size, padding: 0 };
    client.call(Opcode::Getxattr, node, &body(&[fixed.as_bytes(), &text(name)]))
}

#[test]
fn attributes_are_the_hosts_also_of_an_open_file_without_a_name() {
    let client = Client::new(Private, false);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    client.write(node, fh, 0, &[1; 5000]).unwrap();
    let attr = client.attr(node).unwrap();
    assert_eq!((attr.size, attr.nlink, attr.mode), (5000, 1, libc::S_IFREG | 0o600));
    client.call(Opcode::Unlink, ROOT_ID, &text("f")).unwrap();
    let by_handle = GetattrIn { getattr_flags: 1, dummy: 0, fh };
    for request in [GetattrIn::default(), by_handle] {
        let reply = client.call(Opcode::Getattr, node, request.as_bytes()).unwrap();
        assert_eq!(u64::from_ne_bytes(reply[24..32].try_into().unwrap()), 5000);
    }
}

#[test]
fn statx_gives_the_time_of_birth() {
    let client = Client::new(Private, false);
    let (node, _) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let request = StatxIn { sx_mask: libc::STATX_BASIC_STATS | libc::STATX_BTIME, ..StatxIn::default() };
    let reply: StatxOut = client.ask(Opcode::Statx, node, request.as_bytes()).unwrap();
    assert_eq!(reply.stat.mask & libc::STATX_BASIC_STATS, libc::STATX_BASIC_STATS);
    if reply.stat.mask & libc::STATX_BTIME != 0 {
        let made = std::fs::metadata(client.path("f")).unwrap().created().unwrap();
        let since = made.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(reply.stat.btime.tv_sec as u64, since.as_secs());
    }
}

#[test]
fn every_attribute_can_be_set() {
    let client = Client::new(Private, false);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    client.write(node, fh, 0, b"0123456789").unwrap();
    let set = |change: SetattrIn| client.setattr(node, &change).unwrap();
    let attr = set(SetattrIn { valid: FATTR_MODE, mode: 0o4751, ..SetattrIn::default() });
    assert_eq!(attr.mode, libc::S_IFREG | 0o4751);
    let attr = set(SetattrIn { valid: FATTR_UID | FATTR_GID, uid: 11, gid: 12, ..SetattrIn::default() });
    assert_eq!((attr.uid, attr.gid), (11, 12));
    let attr = set(SetattrIn { valid: FATTR_GID, uid: 99, gid: 13, ..SetattrIn::default() });
    assert_eq!((attr.uid, attr.gid), (11, 13));
    let attr = set(SetattrIn { valid: FATTR_SIZE, size: 4, ..SetattrIn::default() });
    assert_eq!(attr.size, 4);
    let attr = set(SetattrIn { valid: FATTR_SIZE | FATTR_FH, fh, size: 3, ..SetattrIn::default() });
    assert_eq!(attr.size, 3);
    let times = SetattrIn {
        valid: FATTR_ATIME | FATTR_MTIME,
        atime: -5_i64 as u64,
        atimensec: 7,
        mtime: 1 << 32,
        mtimensec: 8,
        ..SetattrIn::default()
    };
    let attr = set(times);
    assert_eq!((attr.atime as i64, attr.atimensec, attr.mtime, attr.mtimensec), (-5, 7, 1 << 32, 8));
    let attr = set(SetattrIn { valid: FATTR_MTIME | FATTR_MTIME_NOW, ..SetattrIn::default() });
    assert_eq!(attr.atime as i64, -5);
    assert!(attr.mtime > 1_600_000_000 && attr.mtime < 1 << 32);
}

#[test]
fn a_mode_set_together_with_owner_and_size_stays() {
    let client = Client::new(Private, false);
    let (node, _) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let valid = FATTR_MODE | FATTR_UID | FATTR_SIZE | FATTR_KILL_SUIDGID;
    let all = SetattrIn { valid, mode: 0o4755, uid: 7, size: 9, ..SetattrIn::default() };
    let attr = client.setattr(node, &all).unwrap();
    assert_eq!((attr.mode & 0o7777, attr.uid, attr.size), (0o4755, 7, 9));
}

#[test]
fn attributes_of_symlinks_are_their_own() {
    let client = Client::new(Private, false);
    std::fs::write(client.path("f"), "").unwrap();
    symlink("f", client.path("l")).unwrap();
    let link = client.node("l");
    let owner = SetattrIn { valid: FATTR_UID, uid: 5, ..SetattrIn::default() };
    assert_eq!(client.setattr(link, &owner).unwrap().uid, 5);
    let time = SetattrIn { valid: FATTR_MTIME, mtime: 77, ..SetattrIn::default() };
    assert_eq!(client.setattr(link, &time).unwrap().mtime, 77);
    let mode = SetattrIn { valid: FATTR_MODE, mode: 0o777, ..SetattrIn::default() };
    assert_eq!(client.setattr(link, &mode).unwrap_err(), Errno::OPNOTSUPP);
    let size = SetattrIn { valid: FATTR_SIZE, ..SetattrIn::default() };
    assert_eq!(client.setattr(link, &size).unwrap_err(), Errno::INVAL);
    let host = std::fs::metadata(client.path("f")).unwrap();
    assert!(host.uid() == 0 && host.mtime() != 77);
}

#[test]
fn truncating_clears_set_user_id_if_the_guest_says_so() {
    let client = Client::new(Private, false);
    let (node, _) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let mode = SetattrIn { valid: FATTR_MODE, mode: 0o6755, ..SetattrIn::default() };
    client.setattr(node, &mode).unwrap();
    let size = SetattrIn { valid: FATTR_SIZE, size: 1, ..SetattrIn::default() };
    assert_eq!(client.setattr(node, &size).unwrap().mode & 0o7777, 0o6755);
    let kill = SetattrIn { valid: FATTR_SIZE | FATTR_KILL_SUIDGID, size: 2, ..SetattrIn::default() };
    assert_eq!(client.setattr(node, &kill).unwrap().mode & 0o7777, 0o755);
}

#[test]
fn extended_attributes_are_set_read_listed_and_removed() {
    let client = Client::new(Private, false);
    let (node, _) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    setxattr(&client, node, "user.a", b"value").unwrap();
    assert_eq!(getxattr(&client, node, "user.a", 100).unwrap(), b"value");
    assert_eq!(getxattr(&client, node, "user.a", 0).unwrap(), [5, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(getxattr(&client, node, "user.a", 3).unwrap_err(), Errno::RANGE);
    assert_eq!(getxattr(&client, node, "user.b", 100).unwrap_err(), Errno::NODATA);
    let list = |size: u32| client.call(Opcode::Listxattr, node, GetxattrIn { size, padding: 0 }.as_bytes());
    assert_eq!(list(100).unwrap(), b"user.a\0");
    assert_eq!(list(0).unwrap(), [7, 0, 0, 0, 0, 0, 0, 0]);
    client.call(Opcode::Removexattr, node, &text("user.a")).unwrap();
    assert_eq!(client.call(Opcode::Removexattr, node, &text("user.a")).unwrap_err(), Errno::NODATA);
    for name in ["trusted.overlay.opaque", "security.selinux", "security.evm", "system.nfs4_acl", "other", ""]
    {
        assert!(setxattr(&client, node, name, b"x").is_err(), "{name}");
        assert!(getxattr(&client, node, name, 10).is_err(), "{name}");
    }
}

#[test]
fn file_system_figures_are_the_hosts() {
    let client = Client::new(Private, false);
    let reply: StatfsOut = client.ask(Opcode::Statfs, ROOT_ID, &[]).unwrap();
    let host = rustix::fs::statfs(client.dir.path()).unwrap();
    assert_eq!((reply.blocks, reply.bsize, reply.namelen), (host.f_blocks, host.f_bsize as u32, 255));
}

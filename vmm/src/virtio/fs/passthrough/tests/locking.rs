//! Locks that guest and host see.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use zerocopy::IntoBytes;

use crate::config::CacheMode::{Coherent, Private};
use crate::virtio::fs::protocol::flags::LK_FLOCK;
use crate::virtio::fs::protocol::requests::{FileLock, FlushIn, LkIn, ReleaseIn};
use crate::virtio::fs::protocol::{Opcode, ROOT_ID};
use crate::virtio::fs::server::Outcome;
use crate::virtio::fs::sys;
use crate::virtio::fs::test_client::Client;

const ALL: (u64, u64) = (0, i64::MAX as u64);

fn lock(fh: u64, owner: u64, kind: i32, (start, end): (u64, u64), lk_flags: u32) -> LkIn {
    LkIn { fh, owner, lk: FileLock { start, end, kind: kind as u32, pid: 1 }, lk_flags, padding: 0 }
}

fn host_lock(file: &File, kind: i32) -> Result<(), Errno> {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    sys::lock_command(file.as_fd(), libc::F_OFD_SETLK, &mut lock)
}

fn open(client: &Client) -> (u64, u64, File) {
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let host = File::options().read(true).write(true).open(client.path("f")).unwrap();
    (node, fh, host)
}

#[test]
fn posix_locks_meet_the_hosts_and_each_other() {
    let client = Client::new(Coherent, false);
    let (node, fh, host) = open(&client);
    let set = |owner, kind, range| {
        client.call(Opcode::Setlk, node, lock(fh, owner, kind, range, 0).as_bytes()).map(drop)
    };
    assert_eq!(set(1, libc::F_WRLCK, (0, 9)), Ok(()));
    assert_eq!(set(1, libc::F_WRLCK, (5, 20)), Ok(()));
    assert_eq!(set(2, libc::F_RDLCK, (20, 30)), Err(Errno::AGAIN));
    assert_eq!(set(2, libc::F_RDLCK, (21, 30)), Ok(()));
    assert_eq!(host_lock(&host, libc::F_WRLCK), Err(Errno::AGAIN));
    let test: FileLock =
        client.ask(Opcode::Getlk, node, lock(fh, 3, libc::F_WRLCK, (0, 5), 0).as_bytes()).unwrap();
    assert_eq!((test.start, test.end, test.kind), (0, 20, libc::F_WRLCK as u32));
    assert_eq!(set(1, libc::F_UNLCK, (0, 20)), Ok(()));
    assert_eq!(set(2, libc::F_UNLCK, ALL), Ok(()));
    assert_eq!(host_lock(&host, libc::F_WRLCK), Ok(()));
    assert_eq!(set(1, libc::F_RDLCK, (3, 3)), Err(Errno::AGAIN));
    let test: FileLock =
        client.ask(Opcode::Getlk, node, lock(fh, 3, libc::F_RDLCK, (7, 8), 0).as_bytes()).unwrap();
    assert_eq!((test.start, test.end), ALL);
}

#[test]
fn closing_in_the_guest_ends_the_owners_locks() {
    let client = Client::new(Coherent, false);
    let (node, fh, host) = open(&client);
    client.call(Opcode::Setlk, node, lock(fh, 1, libc::F_WRLCK, ALL, 0).as_bytes()).unwrap();
    let flush = |lock_owner| FlushIn { fh, lock_owner, ..FlushIn::default() };
    client.call(Opcode::Flush, node, flush(2).as_bytes()).unwrap();
    assert_eq!(host_lock(&host, libc::F_WRLCK), Err(Errno::AGAIN));
    client.call(Opcode::Flush, node, flush(1).as_bytes()).unwrap();
    assert_eq!(host_lock(&host, libc::F_WRLCK), Ok(()));
}

#[test]
fn bsd_locks_are_of_the_open_file() {
    let client = Client::new(Coherent, false);
    let (node, fh, host) = open(&client);
    let other = client.open(node, libc::O_RDONLY).unwrap();
    let set =
        |fh, kind| client.call(Opcode::Setlk, node, lock(fh, 9, kind, ALL, LK_FLOCK).as_bytes()).map(drop);
    assert_eq!(set(fh, libc::F_WRLCK), Ok(()));
    assert_eq!(set(other, libc::F_RDLCK), Err(Errno::AGAIN));
    assert_eq!(flock(&host, FlockOperation::NonBlockingLockShared), Err(Errno::AGAIN));
    assert_eq!(set(fh, libc::F_RDLCK), Ok(()));
    assert_eq!(set(other, libc::F_RDLCK), Ok(()));
    for fh in [fh, other] {
        let release = ReleaseIn { fh, ..ReleaseIn::default() };
        client.call(Opcode::Release, node, release.as_bytes()).unwrap();
    }
    assert_eq!(flock(&host, FlockOperation::NonBlockingLockExclusive), Ok(()));
}

#[test]
fn a_lock_that_is_taken_waits_outside_of_the_worker() {
    let client = Client::new(Coherent, false);
    let (node, fh, host) = open(&client);
    host_lock(&host, libc::F_WRLCK).unwrap();
    let wanted = lock(fh, 1, libc::F_WRLCK, ALL, 0);
    let request = client.request(Opcode::Setlkw as u32, node, wanted.as_bytes());
    let (Outcome::Blocked(blocked), _) = client.send(&request, 100) else { panic!("did not wait") };
    let mut reply = vec![0; 16];
    let mut output = crate::virtio::fs::buffers::Buffers::default();
    output.push(reply.as_mut_slice().into());
    assert_eq!(client.server.retry(&blocked, &output), None);
    host_lock(&host, libc::F_UNLCK).unwrap();
    assert_eq!(client.server.retry(&blocked, &output), Some(16));
    assert_eq!(host_lock(&host, libc::F_WRLCK), Err(Errno::AGAIN));
}

#[test]
fn owners_and_ranges_are_bounded() {
    let client = Client::new(Coherent, false);
    let (node, fh, _host) = open(&client);
    let set = |owner: u64, range| {
        client.call(Opcode::Setlk, node, lock(fh, owner, libc::F_RDLCK, range, 0).as_bytes()).map(drop)
    };
    let granted = (0..200).take_while(|owner| set(*owner, ALL).is_ok()).count();
    assert_eq!(granted, crate::virtio::fs::test_client::LIMITS.lock_owners);
    assert_eq!(set(1000, ALL), Err(Errno::NOLCK));
    assert_eq!(set(1, (5, 4)), Err(Errno::INVAL));
    assert_eq!(set(1, (0, u64::MAX)), Err(Errno::INVAL));
    let kind = lock(fh, 1, 7, ALL, 0);
    assert_eq!(client.call(Opcode::Setlk, node, kind.as_bytes()).unwrap_err(), Errno::INVAL);
    let handle = lock(fh + 1, 1, libc::F_RDLCK, ALL, 0);
    assert_eq!(client.call(Opcode::Setlk, node, handle.as_bytes()).unwrap_err(), Errno::BADF);
}

#[test]
fn a_private_share_leaves_locks_to_the_guests_kernel() {
    for (cache, remote) in [(Private, false), (Coherent, true)] {
        let client = Client::new(cache, false);
        let flags = client.init(u64::MAX).flags;
        assert_eq!((flags & 1 << 1 != 0, flags & 1 << 10 != 0), (remote, remote));
    }
}

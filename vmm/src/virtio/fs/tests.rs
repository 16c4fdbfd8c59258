//! The whole device, driven by a small guest driver over real queues and guest memory.

use std::fs::File;
use std::os::fd::AsFd;

use tempfile::TempDir;
use vm_memory::{Bytes, GuestAddress};
use zerocopy::{FromBytes, IntoBytes};

use super::protocol::requests::{CreateIn, FileLock, FsyncIn, LkIn, OpenOut, WriteIn};
use super::protocol::{EntryOut, InHeader, Opcode, OutHeader, ROOT_ID};
use super::{Fs, FsError, ShareRoot, sys};
use crate::config::{CacheMode, FsConfig};
use crate::virtio::VirtioDevice;
use crate::virtio::test_utils::{Buf, MockDriver, publish_hostile_chains, readable, writable};

fn config(dir: &TempDir, tag: &str, cache: CacheMode) -> FsConfig {
    FsConfig { tag: tag.to_owned(), path: dir.path().to_owned(), cache, read_only: false }
}

fn device(dir: &TempDir, cache: CacheMode) -> Fs {
    Fs::new(&config(dir, "share", cache), ShareRoot::open(dir.path()).unwrap()).unwrap()
}

/// A guest that has mounted the share.
struct Guest {
    driver: MockDriver,
    unique: u64,
}

impl Guest {
    fn start(fs: &mut Fs) -> Self {
        let mut guest = Self { driver: MockDriver::start(fs), unique: 1 };
        guest.init();
        guest
    }

    fn init(&mut self) {
        let mut request = [7_u32, 41, 1 << 17, u32::MAX, u32::MAX].as_bytes().to_vec();
        request.resize(64, 0);
        assert_eq!(self.ask(Opcode::Init, 0, &request).unwrap().len(), 64);
    }

    /// The chain of a request and where its reply goes.
    fn chain(&mut self, opcode: Opcode, node: u64, body: &[u8]) -> (Vec<Buf>, u64) {
        self.unique += 1;
        let header = InHeader {
            len: (40 + body.len()) as u32,
            opcode: opcode as u32,
            unique: self.unique,
            nodeid: node,
            ..InHeader::default()
        };
        let header = self.driver.alloc_bytes(header.as_bytes());
        let payload = self.driver.alloc_bytes(body);
        let reply = self.driver.alloc(16 + 8192);
        let chain = vec![
            readable(header, 40),
            readable(payload, body.len() as u32),
            writable(reply, 16),
            writable(reply + 16, 8192),
        ];
        (chain, reply)
    }

    fn ask(&mut self, opcode: Opcode, node: u64, body: &[u8]) -> Result<Vec<u8>, i32> {
        let (chain, reply) = self.chain(opcode, node, body);
        let len = self.driver.request(1, &chain);
        self.parse(reply, len)
    }

    fn parse(&self, reply: u64, len: u32) -> Result<Vec<u8>, i32> {
        let bytes = self.driver.bytes(reply, len as usize);
        let (header, payload) = OutHeader::read_from_prefix(&bytes).unwrap();
        assert_eq!(header.len, len);
        if header.error == 0 { Ok(payload.to_vec()) } else { Err(-header.error) }
    }

    fn create(&mut self, name: &str) -> (u64, u64) {
        let request = CreateIn { flags: 2, mode: 0o100_600, umask: 0, open_flags: 0 };
        let body = [request.as_bytes(), name.as_bytes(), b"\0"].concat();
        let reply = self.ask(Opcode::Create, ROOT_ID, &body).unwrap();
        let (entry, open) = EntryOut::read_from_prefix(&reply).unwrap();
        (entry.nodeid, OpenOut::read_from_bytes(open).unwrap().fh)
    }
}

fn lock(fh: u64, kind: i32) -> LkIn {
    let lk = FileLock { start: 0, end: i64::MAX as u64, kind: kind as u32, pid: 1 };
    LkIn { fh, owner: 1, lk, lk_flags: 0, padding: 0 }
}

fn host_lock(file: &File, kind: i32) -> bool {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    sys::lock_command(file.as_fd(), libc::F_OFD_SETLK, &mut lock).is_ok()
}

#[test]
fn config_space_has_tag_and_queues_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let fs = device(&dir, CacheMode::Private);
    assert_eq!(fs.device_type(), 26);
    let mut space = [0xff; 48];
    fs.read_config(0, &mut space);
    assert_eq!(&space[..6], b"share\0");
    assert_eq!(space[36..40], [4, 0, 0, 0]);
    assert_eq!(space[40..], [0; 8]);
    let mut word = [0xff; 4];
    for offset in [38, 4096, u64::MAX - 1] {
        fs.read_config(offset, &mut word);
        assert_eq!(word, [0; 4]);
    }
}

#[test]
fn tags_must_fit() {
    let dir = tempfile::tempdir().unwrap();
    for (tag, fits) in
        [("", false), ("a", true), (&"x".repeat(36), true), (&"x".repeat(37), false), ("a\0b", false)]
    {
        let made = Fs::new(&config(&dir, tag, CacheMode::Private), ShareRoot::open(dir.path()).unwrap());
        assert_eq!(made.is_ok(), fits, "{tag:?}");
        assert!(!matches!(made, Err(FsError::Root { .. })));
    }
    assert!(ShareRoot::open(&dir.path().join("nope")).unwrap_err().to_string().contains("nope"));
}

#[test]
fn files_are_made_written_and_seen_on_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let mut fs = device(&dir, CacheMode::Private);
    let mut guest = Guest::start(&mut fs);
    let (node, fh) = guest.create("f");
    let data = vec![7; 5000];
    let request = WriteIn { fh, size: 5000, ..WriteIn::default() };
    guest.ask(Opcode::Write, node, &[request.as_bytes(), &data].concat()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), data);
}

#[test]
fn many_requests_in_flight_are_all_answered_on_every_queue() {
    let dir = tempfile::tempdir().unwrap();
    let mut fs = device(&dir, CacheMode::Private);
    let mut guest = Guest::start(&mut fs);
    let (node, fh) = guest.create("f");
    for queue in 1..=4 {
        let mut replies = std::collections::BTreeMap::new();
        for number in 0..60_u64 {
            let sync = FsyncIn { fh, ..FsyncIn::default() };
            let (chain, reply) = match number % 3 {
                0 => guest.chain(Opcode::Fsync, node, sync.as_bytes()),
                1 => guest.chain(Opcode::Getattr, node, &[0; 16]),
                _ => guest.chain(Opcode::Lookup, ROOT_ID, b"f\0"),
            };
            let head = guest.driver.queues[queue].add(&chain);
            guest.driver.queues[queue].kick_if_wanted(1);
            replies.insert(head, reply);
        }
        while !replies.is_empty() {
            let (head, len) = guest.driver.wait_used(queue);
            let reply = replies.remove(&head).unwrap();
            guest.parse(reply, len).unwrap();
        }
    }
}

#[test]
fn hostile_chains_are_completed_empty_and_the_device_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut fs = device(&dir, CacheMode::Private);
    let mut guest = Guest::start(&mut fs);
    for queue in [0, 2] {
        let count = publish_hostile_chains(&mut guest.driver, queue);
        for _ in 0..count {
            assert_eq!(guest.driver.wait_used(queue).1, 0);
        }
    }
    guest.create("f");
}

#[test]
fn forgets_and_indirect_chains_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut fs = device(&dir, CacheMode::Private);
    let mut guest = Guest::start(&mut fs);
    std::fs::write(dir.path().join("f"), "").unwrap();
    let (chain, reply) = guest.chain(Opcode::Lookup, ROOT_ID, b"f\0");
    let table = guest.driver.alloc(64);
    guest.driver.queues[1].add_indirect(table, &chain);
    guest.driver.queues[1].kick();
    let (_, len) = guest.driver.wait_used(1);
    let entry = EntryOut::read_from_bytes(&guest.parse(reply, len).unwrap()).unwrap();
    guest.ask(Opcode::Getattr, entry.nodeid, &[0; 16]).unwrap();
    let (chain, _) = guest.chain(Opcode::Forget, entry.nodeid, &1_u64.to_ne_bytes());
    assert_eq!(guest.driver.request(0, &chain[..2]), 0);
    assert_eq!(guest.ask(Opcode::Getattr, entry.nodeid, &[0; 16]), Err(libc::ESTALE));
}

#[test]
fn a_waiting_lock_is_granted_when_the_host_lets_go_and_others_are_served_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let mut fs = device(&dir, CacheMode::Coherent);
    let mut guest = Guest::start(&mut fs);
    let (node, fh) = guest.create("f");
    let host = File::options().write(true).open(dir.path().join("f")).unwrap();
    assert!(host_lock(&host, libc::F_WRLCK));
    let (chain, reply) = guest.chain(Opcode::Setlkw, node, lock(fh, libc::F_WRLCK).as_bytes());
    let waiting = guest.driver.queues[1].add(&chain);
    guest.driver.queues[1].kick();
    // Answered on the same queue, behind the lock.
    guest.ask(Opcode::Getattr, node, &[0; 16]).unwrap();
    assert!(host_lock(&host, libc::F_UNLCK));
    let (head, len) = guest.driver.wait_used(1);
    assert_eq!(head, waiting);
    guest.parse(reply, len).unwrap();
    assert!(!host_lock(&host, libc::F_WRLCK));
}

#[test]
fn a_waiting_lock_ends_with_an_interrupt_or_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let mut fs = device(&dir, CacheMode::Coherent);
    let mut guest = Guest::start(&mut fs);
    let (node, fh) = guest.create("f");
    let host = File::options().write(true).open(dir.path().join("f")).unwrap();
    assert!(host_lock(&host, libc::F_WRLCK));
    for _ in 0..2 {
        let (chain, reply) = guest.chain(Opcode::Setlkw, node, lock(fh, libc::F_WRLCK).as_bytes());
        let unique = guest.unique;
        guest.driver.queues[1].add(&chain);
        guest.driver.queues[1].kick();
        let (chain, _) = guest.chain(Opcode::Interrupt, 0, &unique.to_ne_bytes());
        guest.driver.request(0, &chain[..2]);
        let (_, len) = guest.driver.wait_used(1);
        assert_eq!(guest.parse(reply, len), Err(libc::EINTR));
    }
    let (chain, _) = guest.chain(Opcode::Setlkw, node, lock(fh, libc::F_WRLCK).as_bytes());
    guest.driver.queues[1].add(&chain);
    guest.driver.queues[1].kick();
    guest.ask(Opcode::Getattr, node, &[0; 16]).unwrap();
    fs.reset();
    drop(host);
    let mut again = Guest::start(&mut fs);
    assert_eq!(again.ask(Opcode::Getattr, node, &[0; 16]), Err(libc::ESTALE));
}

#[test]
fn reset_ends_the_session_and_gives_the_kicks_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut fs = device(&dir, CacheMode::Private);
    let mut guest = Guest::start(&mut fs);
    let (node, fh) = guest.create("f");
    fs.reset();
    fs.reset();
    let (driver, context) = MockDriver::prepare(&fs, fs.features());
    let kicks: Vec<_> = context.queues.iter().map(|active| active.kick.try_clone().unwrap()).collect();
    fs.activate(context).unwrap();
    let mut guest = Guest { driver, unique: 1 };
    assert_eq!(guest.ask(Opcode::Getattr, ROOT_ID, &[0; 16]), Err(libc::EIO));
    guest.init();
    assert_eq!(guest.ask(Opcode::Getattr, node, &[0; 16]), Err(libc::ESTALE));
    let request = FsyncIn { fh, ..FsyncIn::default() };
    assert_eq!(guest.ask(Opcode::Fsync, node, request.as_bytes()), Err(libc::EBADF));
    fs.reset();
    for kick in kicks {
        // Would wait for ever if it waited.
        let _ = kick.read();
        assert!(kick.read().is_err());
    }
}

#[test]
fn garbage_in_guest_memory_is_answered_or_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let mut fs = device(&dir, CacheMode::Private);
    let mut guest = Guest::start(&mut fs);
    let address = guest.driver.alloc(4096);
    for fill in [0_u8, 1, 0x1a, 0x7f, 0xff] {
        guest.driver.ram.write_slice(&[fill; 4096], GuestAddress(address)).unwrap();
        for len in [1, 39, 40, 41, 4096] {
            guest.driver.request(1, &[readable(address, len)]);
            let reply = guest.driver.alloc(4096);
            for room in [1, 15, 16, 17, 4096] {
                let written = guest.driver.request(1, &[readable(address, len), writable(reply, room)]);
                assert!(written <= room);
            }
        }
    }
    guest.create("f");
}

//! Reading, writing, space and copies.

use rustix::io::Errno;
use zerocopy::IntoBytes;

use crate::config::CacheMode::{Coherent, Private};
use crate::virtio::fs::protocol::flags::{FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE, WRITE_CACHE};
use crate::virtio::fs::protocol::requests::{
    CopyFileRangeIn, FallocateIn, FsyncIn, LseekIn, LseekOut, OpenIn, OpenOut, ReleaseIn, WriteIn, WriteOut,
};
use crate::virtio::fs::protocol::{MAX_TRANSFER, Opcode, ROOT_ID};
use crate::virtio::fs::test_client::{Client, body};

#[test]
fn data_of_every_size_goes_through() {
    let client = Client::new(Private, false);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    for size in [0, 1, 4095, 4096, 100_001, MAX_TRANSFER as usize] {
        let data: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        assert_eq!(client.write(node, fh, 3, &data), Ok(size as u32));
        assert_eq!(client.read(node, fh, 3, size as u32).unwrap(), data);
    }
    assert_eq!(client.read(node, fh, u64::from(MAX_TRANSFER), 100).unwrap().len(), 3);
    assert_eq!(client.read(node, fh, 1 << 40, 100).unwrap(), b"");
    assert_eq!(client.read(node, fh, u64::MAX, 1).unwrap_err(), Errno::INVAL);
    assert_eq!(client.write(node, fh, i64::MAX as u64 - 1, b"x").unwrap_err(), Errno::FBIG);
    assert_eq!(client.write(node, fh, u64::MAX, b"x").unwrap_err(), Errno::INVAL);
}

#[test]
fn the_guest_caches_only_what_is_its_own() {
    for (cache, flag) in [(Private, FOPEN_KEEP_CACHE), (Coherent, FOPEN_DIRECT_IO)] {
        let client = Client::new(cache, false);
        std::fs::write(client.path("f"), "").unwrap();
        let request = OpenIn { flags: 0, open_flags: 0 };
        let reply: OpenOut = client.ask(Opcode::Open, client.node("f"), request.as_bytes()).unwrap();
        assert_eq!(reply.open_flags & (FOPEN_KEEP_CACHE | FOPEN_DIRECT_IO), flag);
    }
}

#[test]
fn writing_only_can_read_for_the_writeback_cache_and_not_without() {
    for (cache, readable) in [(Private, true), (Coherent, false)] {
        let client = Client::new(cache, false);
        let (node, fh) = client.create(ROOT_ID, "f", libc::O_WRONLY, 0o600).unwrap();
        assert_eq!(client.read(node, fh, 0, 1).is_ok(), readable);
    }
}

#[test]
fn appending_in_a_coherent_share_finds_the_hosts_end_of_the_file() {
    let client = Client::new(Coherent, false);
    let flags = libc::O_WRONLY | libc::O_APPEND;
    let (node, fh) = client.create(ROOT_ID, "f", flags, 0o600).unwrap();
    std::fs::write(client.path("f"), "from the host ").unwrap();
    // The guest's idea of the end is stale: 0.
    let append = WriteIn { fh, size: 4, flags: flags as u32, ..WriteIn::default() };
    client.write_as(node, &append, b"mine").unwrap();
    assert_eq!(std::fs::read(client.path("f")).unwrap(), b"from the host mine");
    // A page that is written back has a place, though the file is open for appending.
    let page = WriteIn { write_flags: WRITE_CACHE, ..append };
    client.write_as(node, &page, b"FROM").unwrap();
    assert_eq!(std::fs::read(client.path("f")).unwrap(), b"FROM the host mine");
}

#[test]
fn appending_in_a_private_share_is_done_by_the_guests_kernel() {
    let client = Client::new(Private, false);
    let flags = libc::O_WRONLY | libc::O_APPEND;
    let (node, fh) = client.create(ROOT_ID, "f", flags, 0o600).unwrap();
    client.write(node, fh, 0, b"0123456789").unwrap();
    let append = WriteIn { fh, offset: 2, size: 2, flags: flags as u32, ..WriteIn::default() };
    client.write_as(node, &append, b"xx").unwrap();
    assert_eq!(std::fs::read(client.path("f")).unwrap(), b"01xx456789");
}

#[test]
fn handles_end_and_belong_to_their_inode() {
    let client = Client::new(Private, false);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let (other, _) = client.create(ROOT_ID, "g", libc::O_RDWR, 0o600).unwrap();
    assert_eq!(client.read(other, fh, 0, 1).unwrap_err(), Errno::BADF);
    assert_eq!(client.read(node, fh ^ 1 << 32, 0, 1).unwrap_err(), Errno::BADF);
    let release = ReleaseIn { fh, ..ReleaseIn::default() };
    assert_eq!(client.call(Opcode::Release, other, release.as_bytes()).unwrap_err(), Errno::BADF);
    client.call(Opcode::Release, node, release.as_bytes()).unwrap();
    assert_eq!(client.call(Opcode::Release, node, release.as_bytes()).unwrap_err(), Errno::BADF);
    assert_eq!(client.read(node, fh, 0, 1).unwrap_err(), Errno::BADF);
    let again = client.open(node, libc::O_RDWR).unwrap();
    assert_ne!(again, fh);
}

#[test]
fn open_handles_are_bounded() {
    let client = Client::new(Private, false);
    let (node, _) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let opened = (0..200).take_while(|_| client.open(node, libc::O_RDONLY).is_ok()).count();
    assert_eq!(opened, crate::virtio::fs::test_client::LIMITS.handles - 1);
    assert_eq!(client.open(node, libc::O_RDONLY).unwrap_err(), Errno::NFILE);
    // A file that is made but cannot be kept open is not left behind as looked up.
    assert_eq!(client.create(ROOT_ID, "g", libc::O_RDWR, 0o600).unwrap_err(), Errno::NFILE);
    let made = client.node("g");
    client.forget(made, 1);
    assert_eq!(client.attr(made).unwrap_err(), Errno::STALE);
}

#[test]
fn syncs_succeed() {
    let client = Client::new(Private, false);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let dir = client.opendir(ROOT_ID).unwrap();
    for fsync_flags in [0, 1] {
        let request = FsyncIn { fh, fsync_flags, padding: 0 };
        client.call(Opcode::Fsync, node, request.as_bytes()).unwrap();
        let request = FsyncIn { fh: dir, fsync_flags, padding: 0 };
        client.call(Opcode::Fsyncdir, ROOT_ID, request.as_bytes()).unwrap();
    }
    client.call(Opcode::Syncfs, ROOT_ID, &[0; 8]).unwrap();
}

#[test]
fn space_is_allocated_punched_and_found() {
    let client = Client::new(Private, false);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let allocate = |offset, length, mode: i32| {
        let request = FallocateIn { fh, offset, length, mode: mode as u32, padding: 0 };
        client.call(Opcode::Fallocate, node, request.as_bytes())
    };
    allocate(0, 1 << 20, 0).unwrap();
    assert_eq!(client.attr(node).unwrap().size, 1 << 20);
    client.write(node, fh, 0, &vec![1; 1 << 20]).unwrap();
    allocate(4096, 8192, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE).unwrap();
    assert_eq!(client.read(node, fh, 4095, 3).unwrap(), [1, 0, 0]);
    assert_eq!(allocate(0, 1, libc::FALLOC_FL_COLLAPSE_RANGE).unwrap_err(), Errno::OPNOTSUPP);
    assert_eq!(allocate(u64::MAX, u64::MAX, 0).unwrap_err(), Errno::INVAL);
    let seek = |offset, whence: i32| {
        let request = LseekIn { fh, offset, whence: whence as u32, padding: 0 };
        client.ask::<LseekOut>(Opcode::Lseek, node, request.as_bytes()).map(|out| out.offset)
    };
    assert_eq!(seek(0, libc::SEEK_HOLE), Ok(4096));
    assert_eq!(seek(4096, libc::SEEK_DATA), Ok(12288));
    assert_eq!(seek(1 << 30, libc::SEEK_DATA), Err(Errno::NXIO));
    assert_eq!(seek(u64::MAX, libc::SEEK_DATA), Err(Errno::NXIO));
    assert_eq!(seek(0, libc::SEEK_END), Err(Errno::INVAL));
}

#[test]
fn ranges_are_copied_on_the_host() {
    let client = Client::new(Private, false);
    let (from, fh_in) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    let (to, fh_out) = client.create(ROOT_ID, "g", libc::O_RDWR, 0o600).unwrap();
    client.write(from, fh_in, 0, b"0123456789").unwrap();
    let request = CopyFileRangeIn { fh_in, off_in: 2, nodeid_out: to, fh_out, off_out: 1, len: 5, flags: 0 };
    let reply: WriteOut = client.ask(Opcode::CopyFileRange, from, request.as_bytes()).unwrap();
    assert_eq!(reply.size, 5);
    assert_eq!(std::fs::read(client.path("g")).unwrap(), b"\x0023456");
    let flags = CopyFileRangeIn { flags: 1, ..request };
    assert_eq!(client.call(Opcode::CopyFileRange, from, flags.as_bytes()).unwrap_err(), Errno::INVAL);
}

#[test]
fn a_write_must_carry_what_it_says() {
    let client = Client::new(Private, false);
    let (node, fh) = client.create(ROOT_ID, "f", libc::O_RDWR, 0o600).unwrap();
    for (size, data) in [(10, &b"short"[..]), (u32::MAX, b""), (MAX_TRANSFER + 1, b"x")] {
        let request = WriteIn { fh, size, ..WriteIn::default() };
        let result = client.call(Opcode::Write, node, &body(&[request.as_bytes(), data]));
        assert_eq!(result.unwrap_err(), Errno::INVAL, "{size}");
    }
    assert_eq!(std::fs::metadata(client.path("f")).unwrap().len(), 0);
}

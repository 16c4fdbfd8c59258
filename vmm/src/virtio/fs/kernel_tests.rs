//! The server under a real kernel, this host's: what raw requests cannot show.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, RenameFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags};

use super::inodes::Limits;
use super::test_client::LIMITS;
use super::test_mount::{Mount, own_mounts};
use crate::config::CacheMode::{self, Coherent, Private};

/// Runs a test on a thread with mounts of its own.
fn with_mounts(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        own_mounts();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// Numbers that are the same in every run.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Writes, reads, truncations, holes and mappings in any order against a copy in memory.
fn random_operations(path: &Path, count: usize) {
    const LIMIT: usize = 300_000;
    let mut numbers = Sequence(7);
    let mut expected: Vec<u8> = Vec::new();
    let mut file = open(path);
    for step in 0..count {
        let at = numbers.below(LIMIT);
        let len = numbers.below(40_000).min(LIMIT - at) + 1;
        match numbers.below(7) {
            0 | 1 => {
                let data = vec![numbers.below(256) as u8; len];
                file.write_all_at(&data, at as u64).unwrap();
                expected.resize(expected.len().max(at + len), 0);
                expected[at..at + len].copy_from_slice(&data);
            }
            2 | 3 => {
                let mut data = vec![0xee; len];
                let read = file.read_at(&mut data, at as u64).unwrap();
                let end = (at + len).min(expected.len());
                assert_eq!(data[..read], expected[at.min(end)..end], "step {step}: read at {at}");
            }
            4 => {
                file.set_len(at as u64).unwrap();
                expected.resize(at, 0);
            }
            5 if at + len <= expected.len() => {
                let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                rustix::fs::fallocate(&file, punch, at as u64, len as u64).unwrap();
                expected[at..at + len].fill(0);
            }
            6 if !expected.is_empty() => map(&file, &mut expected, numbers.below(256) as u8, step),
            _ => file = open(path),
        }
    }
    file.sync_all().unwrap();
    assert_eq!(fs::read(path).unwrap(), expected);
}

/// Compares the file with `expected` through a mapping and changes its first bytes there.
fn map(file: &File, expected: &mut [u8], fill: u8, step: usize) {
    let len = expected.len();
    // SAFETY: a fresh mapping of a file that nobody else has; unmapped below.
    let map = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            file,
            0,
        )
    };
    let map = map.unwrap().cast::<u8>();
    // SAFETY: `len` bytes are mapped, and the file is as long.
    let bytes = unsafe { std::slice::from_raw_parts_mut(map, len) };
    assert!(*bytes == *expected, "step {step}: mapping");
    let changed = len.min(5000);
    bytes[..changed].fill(fill);
    expected[..changed].fill(fill);
    // SAFETY: the mapping made above.
    unsafe { rustix::mm::msync(map.cast(), len, MsyncFlags::SYNC) }.unwrap();
    // SAFETY: the mapping made above, which nothing refers to any more.
    unsafe { rustix::mm::munmap(map.cast(), len) }.unwrap();
}

fn data_is_what_was_written(cache: CacheMode) {
    with_mounts(move || {
        let share = tempfile::tempdir().unwrap();
        let mount = Mount::new(share.path(), cache, LIMITS);
        random_operations(&mount.at.path().join("f"), 1000);
        assert_eq!(fs::read(mount.at.path().join("f")).unwrap(), fs::read(share.path().join("f")).unwrap());
    });
}

#[test]
fn data_is_what_was_written_with_the_writeback_cache() {
    data_is_what_was_written(Private);
}

#[test]
fn data_is_what_was_written_without_cache() {
    data_is_what_was_written(Coherent);
}

#[test]
fn two_guests_and_the_host_see_each_others_changes_at_once() {
    with_mounts(|| {
        let share = tempfile::tempdir().unwrap();
        let one = Mount::new(share.path(), Coherent, LIMITS);
        let two = Mount::new(share.path(), Coherent, LIMITS);
        let places = [one.at.path(), two.at.path(), share.path()];
        let files = places.map(|place| open(&place.join("f")));
        for round in 0..30_u8 {
            let writer = usize::from(round) % 3;
            files[writer].write_all_at(&[round; 100], u64::from(round) * 50).unwrap();
            for (file, place) in files.iter().zip(places) {
                let mut data = [0; 100];
                file.read_exact_at(&mut data, u64::from(round) * 50).unwrap();
                assert_eq!(data, [round; 100]);
                assert_eq!(fs::metadata(place.join("f")).unwrap().len(), u64::from(round) * 50 + 100);
            }
            fs::rename(places[writer].join("f"), places[writer].join("g")).unwrap();
            for place in places {
                assert!(!place.join("f").exists() && place.join("g").exists());
            }
            fs::rename(places[(writer + 1) % 3].join("g"), places[(writer + 1) % 3].join("f")).unwrap();
        }
    });
}

#[test]
fn appends_of_two_guests_do_not_overwrite_each_other() {
    with_mounts(|| {
        let share = tempfile::tempdir().unwrap();
        let mounts = [(); 2].map(|()| Mount::new(share.path(), Coherent, LIMITS));
        let writers = [0, 1].map(|who: u8| {
            let path = mounts[usize::from(who)].at.path().join("log");
            let mut log = OpenOptions::new().append(true).create(true).open(path).unwrap();
            std::thread::spawn(move || (0..200).for_each(|_| log.write_all(&[b'a' + who; 10]).unwrap()))
        });
        for writer in writers {
            writer.join().unwrap();
        }
        let log = fs::read(share.path().join("log")).unwrap();
        assert_eq!(log.len(), 4000);
        assert!(log.chunks(10).all(|line| line.iter().all(|byte| *byte == line[0])));
    });
}

#[test]
fn locks_hold_between_two_guests_and_the_host() {
    with_mounts(|| {
        let share = tempfile::tempdir().unwrap();
        let one = Mount::new(share.path(), Coherent, LIMITS);
        let two = Mount::new(share.path(), Coherent, LIMITS);
        let files = [one.at.path(), two.at.path(), share.path()].map(|place| open(&place.join("f")));
        let (exclusive, unlock) = (FlockOperation::NonBlockingLockExclusive, FlockOperation::Unlock);
        for holder in &files {
            rustix::fs::flock(holder, exclusive).unwrap();
            let others = files.iter().filter(|file| rustix::fs::flock(file, exclusive) == Err(Errno::AGAIN));
            assert_eq!(others.count(), 2);
            rustix::fs::flock(holder, unlock).unwrap();
        }
        for holder in &files[..2] {
            rustix::fs::fcntl_lock(holder, exclusive).unwrap();
            let others = files[..2].iter().filter(|file| rustix::fs::fcntl_lock(file, exclusive).is_err());
            assert_eq!(others.count(), 1);
            rustix::fs::fcntl_lock(holder, unlock).unwrap();
        }
    });
}

#[test]
fn a_tree_larger_than_the_descriptors_is_made_walked_and_removed() {
    with_mounts(|| {
        let share = tempfile::tempdir().unwrap();
        let limits = Limits { node_fds: 16, ..LIMITS };
        for cache in [Private, Coherent] {
            let mount = Mount::new(share.path(), cache, limits);
            let root = mount.at.path();
            for number in 0..400 {
                let dir = root.join(format!("{}/{}", number % 7, number % 11));
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join(number.to_string()), number.to_string()).unwrap();
            }
            for number in (0..400).rev() {
                let path = root.join(format!("{}/{}/{number}", number % 7, number % 11));
                assert_eq!(fs::read(path).unwrap(), number.to_string().as_bytes());
            }
            for entry in fs::read_dir(root).unwrap() {
                fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
            assert_eq!(fs::read_dir(share.path()).unwrap().count(), 0);
        }
    });
}

#[test]
fn what_happens_to_an_open_file_does_not_matter_to_it() {
    with_mounts(|| {
        let share = tempfile::tempdir().unwrap();
        for cache in [Private, Coherent] {
            let mount = Mount::new(share.path(), cache, LIMITS);
            let (a, b) = (mount.at.path().join("a"), mount.at.path().join("b"));
            fs::write(&a, "a").unwrap();
            fs::write(&b, "b").unwrap();
            let open_a = open(&a);
            rustix::fs::renameat_with(rustix::fs::CWD, &a, rustix::fs::CWD, &b, RenameFlags::EXCHANGE)
                .unwrap();
            assert_eq!((fs::read(&a).unwrap(), fs::read(&b).unwrap()), (b"b".to_vec(), b"a".to_vec()));
            fs::rename(&a, &b).unwrap();
            open_a.write_all_at(b"still", 0).unwrap();
            open_a.set_len(3).unwrap();
            assert_eq!((open_a.metadata().unwrap().nlink(), open_a.metadata().unwrap().len()), (0, 3));
            assert_eq!(fs::read(&b).unwrap(), b"b");
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(libc::O_TMPFILE);
            options.open(mount.at.path()).unwrap().write_all_at(b"x", 9).unwrap();
            fs::remove_file(&b).unwrap();
            assert_eq!(fs::read_dir(share.path()).unwrap().count(), 0);
        }
    });
}

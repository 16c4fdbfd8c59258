//! Reading what a real log writer writes and rotates.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use sandbox_shim::log::{Log, LogPlan, Stream, Subject, json_file};

use super::*;

const ID: &str = "abc";

/// A writer on a thread of its own, which does one thing after the other.
fn writer(dir: &Path, options: &[(&str, &str)]) -> Log {
    let plan = LogPlan {
        driver: "json-file".to_owned(),
        options: options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>(),
        subject: Subject { id: ID.to_owned(), ..Subject::default() },
        addresses: vec![],
    };
    ready(Log::open(&plan, dir)).unwrap()
}

/// The result of a future that needs no event loop, as those of logs in files.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

fn write(log: &mut Log, numbers: std::ops::Range<u64>) {
    for number in numbers {
        log.write(Stream::Stdout, format!("{number}\n").as_bytes());
    }
}

#[derive(Default)]
struct Collect {
    numbers: Vec<u64>,
    idle: Option<mpsc::Sender<usize>>,
    pause: Duration,
}

impl Sink for Collect {
    fn line(&mut self, line: &[u8]) -> ControlFlow<()> {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        self.numbers.push(value["log"].as_str().unwrap().trim_end().parse().unwrap());
        std::thread::sleep(self.pause);
        ControlFlow::Continue(())
    }

    fn idle(&mut self) -> ControlFlow<()> {
        if let Some(idle) = &self.idle {
            let _ = idle.send(self.numbers.len());
        }
        ControlFlow::Continue(())
    }
}

fn read_all(path: &Path, range: Range) -> Vec<u64> {
    let mut collect = Collect::default();
    read(path, range, End { ended: &|| true, signal: None }, &mut collect).unwrap();
    collect.numbers
}

const GZ: [(&str, &str); 3] = [("max-size", "2k"), ("max-file", "6"), ("compress", "true")];

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = json_file(dir.path(), ID);
    (dir, path)
}

#[test]
fn all_files_in_order_and_any_tail() {
    for options in [&GZ[..2], &GZ[..], &[][..]] {
        let (dir, path) = place();
        let mut log = writer(dir.path(), options);
        write(&mut log, 0..400);
        let all = read_all(&path, Range::default());
        assert_eq!(all, (400 - all.len() as u64..400).collect::<Vec<_>>());
        assert!(all.len() > 100, "{}", all.len());
        for count in (0..=all.len()).chain([all.len() + 1, 10_000]) {
            let range = Range { tail: Some(count as u64), ..Range::default() };
            let want = &all[all.len().saturating_sub(count)..];
            assert_eq!(read_all(&path, range), want, "{count} {options:?}");
            assert_eq!(read_all(&path, Range { follow: true, ..range }), want, "{count} {options:?}");
        }
    }
}

#[test]
fn a_large_tail_is_found_in_blocks() {
    let (dir, path) = place();
    let mut log = writer(dir.path(), &[]);
    write(&mut log, 0..5000);
    // A line without an end belongs to nobody yet.
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"log").unwrap();
    for count in [0, 1, 1000, 4999, 5000, 5001] {
        let range = Range { tail: Some(count), ..Range::default() };
        assert_eq!(read_all(&path, range), (5000u64.saturating_sub(count)..5000).collect::<Vec<_>>());
    }
}

#[test]
fn old_files_are_left_out() {
    let (dir, path) = place();
    let mut log = writer(dir.path(), &GZ);
    write(&mut log, 0..200);
    let future = Some(crate::clock::realtime_ns() + 10_000_000_000);
    let some = read_all(&path, Range { since_ns: future, ..Range::default() });
    assert!(some.len() < 30 && some.last() == Some(&199), "{some:?}");
}

/// A reader in a thread follows, and the writer waits for it only as far as `lockstep` lines.
fn followed(options: &[(&str, &str)], total: u64, lockstep: u64, pause: Duration) -> Vec<u64> {
    let (dir, path) = place();
    let (send, idle) = mpsc::channel();
    let (alive, signal) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut log = writer(dir.path(), options);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            use std::os::fd::AsFd;
            let mut collect = Collect { idle: Some(send), pause, ..Collect::default() };
            let end = End { ended: &|| false, signal: Some(signal.as_fd()) };
            read(&path, Range { follow: true, ..Range::default() }, end, &mut collect).unwrap();
            collect.numbers
        });
        for start in (0..total).step_by(lockstep as usize) {
            write(&mut log, start..(start + lockstep).min(total));
            if lockstep < total {
                while idle.recv_timeout(Duration::from_mins(1)).unwrap()
                    < (start + lockstep).min(total) as usize
                {}
            }
        }
        assert_eq!(ready(log.close()), 0);
        drop(alive);
        reader.join().unwrap()
    })
}

#[test]
fn followers_lose_and_double_nothing_over_rotations() {
    let all: Vec<u64> = (0..2000).collect();
    // As many lines between the reader's looks as files hold, so that several rotations come at once.
    for lockstep in [1, 7, 25, 90] {
        assert_eq!(followed(&GZ, 2000, lockstep, Duration::ZERO), all, "{lockstep}");
        assert_eq!(followed(&GZ[..2], 2000, lockstep, Duration::ZERO), all, "{lockstep}");
    }
    let single: Vec<u64> = followed(&GZ[..1], 300, 1, Duration::ZERO);
    assert_eq!(single.last(), Some(&299));
}

/// As the writer's, made from a plain file of that inode.
fn compressed(path: &Path, inode: u64, numbers: std::ops::Range<u64>) {
    let extra = [&sandbox_shim::log::INODE[..], &inode.to_le_bytes()].concat();
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = flate2::GzBuilder::new().extra(extra).write(file, flate2::Compression::fast());
    for number in numbers {
        writeln!(encoder, "{{\"log\":\"{number}\"}}").unwrap();
    }
    encoder.finish().unwrap();
}

/// The kernel gives the inode of a plain file that was removed to the next file.
#[test]
fn an_inode_that_was_given_anew_is_another_file() {
    let (dir, path) = place();
    let next = dir.path().join("next");
    std::fs::write(&next, "{\"log\":\"4\"}\n").unwrap();
    let inode = next.metadata().unwrap().ino();
    let older = |index: u32| path.with_file_name(format!("{ID}-json.log.{index}.gz"));
    compressed(&older(2), inode, 0..2);
    compressed(&older(1), inode, 2..4);
    // The reader is at the newest of the older files when the next one comes.
    let (send, idle) = mpsc::channel();
    let (alive, signal) = std::os::unix::net::UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        // Whatever fails, the reader ends.
        let alive = alive;
        let reader = scope.spawn(|| {
            use std::os::fd::AsFd;
            let mut collect = Collect { idle: Some(send), ..Collect::default() };
            let end = End { ended: &|| false, signal: Some(signal.as_fd()) };
            read(&path, Range { follow: true, ..Range::default() }, end, &mut collect).unwrap();
            collect.numbers
        });
        assert_eq!(idle.recv_timeout(Duration::from_mins(1)), Ok(4));
        std::fs::rename(&next, &path).unwrap();
        while idle.recv_timeout(Duration::from_mins(1)).unwrap() < 5 {}
        drop(alive);
        assert_eq!(reader.join().unwrap(), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn followers_of_a_fast_writer_get_everything_before_the_end() {
    let large = [("max-size", "100k"), ("max-file", "100"), ("compress", "true")];
    assert_eq!(followed(&large, 30_000, 30_000, Duration::ZERO), (0..30_000).collect::<Vec<_>>());
    let slow = followed(&GZ, 3000, 3000, Duration::from_micros(300));
    assert!(slow.is_sorted() && slow.last() == Some(&2999), "a slow one skips what was removed, and no more");
}

#[test]
fn a_log_that_comes_later_and_a_directory_that_goes() {
    let (dir, path) = place();
    let (send, idle) = mpsc::channel();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut collect = Collect { idle: Some(send), ..Collect::default() };
            let end = End { ended: &|| false, signal: None };
            read(&path, Range { follow: true, ..Range::default() }, end, &mut collect).unwrap();
            collect.numbers
        });
        assert_eq!(idle.recv_timeout(Duration::from_mins(1)), Ok(0));
        write(&mut writer(dir.path(), &[]), 0..3);
        while idle.recv_timeout(Duration::from_mins(1)).unwrap() < 3 {}
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert_eq!(reader.join().unwrap(), [0, 1, 2]);
    });
    assert!(
        read(
            Path::new("/nonexistent/x"),
            Range { follow: true, ..Range::default() },
            End { ended: &|| true, signal: None },
            &mut Collect::default()
        )
        .is_err()
    );
}

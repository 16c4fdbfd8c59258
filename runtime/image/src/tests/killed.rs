//! Pulls that die: by SIGKILL at every stage, in a process of their own. Nothing half is taken for whole, and the next
//! pull asks only for what was missing.

use std::io::{self, Read};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rustix::process::{Signal, getpid, kill_process};

use super::image::{Setup, list};
use super::origin::layer;
use super::registry::{Registry, serve};
use crate::{Digest, PullOptions, RemoteBlob, Store};

/// Tells the child what to do: the store's root, and when to die.
const ENVIRONMENT: &str = "SANDBOX_TEST_KILLED_PULL";

fn registry() -> Registry {
    let sizes = [700_000, 50_000, 300_000, 10, 200_000];
    let layers: Vec<_> = sizes.iter().map(|size| layer(&format!("f{size}"), *size)).collect();
    Registry::with(&layers)
}

fn die() -> ! {
    kill_process(getpid(), Signal::KILL).unwrap();
    unreachable!("SIGKILL cannot be survived")
}

/// Dies when a certain number of bytes was read, over all blobs.
struct Mortal {
    inner: RemoteBlob,
    life: Arc<AtomicU64>,
}

impl Read for Mortal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(16 << 10);
        let count = self.inner.content.read(&mut buffer[..length])?;
        let left = self
            .life
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |life| Some(life.saturating_sub(count as u64)));
        if left.unwrap() <= count as u64 {
            die();
        }
        Ok(count)
    }
}

/// Not a test of its own: the process that dies.
#[test]
fn child() {
    let Ok(order) = std::env::var(ENVIRONMENT) else { return };
    let parts: Vec<&str> = order.split(' ').collect();
    let [root, kind, number] = parts[..] else { panic!("{order}") };
    let number: u64 = number.parse().unwrap();
    let life = Arc::new(AtomicU64::new(if kind == "bytes" { number } else { u64::MAX }));
    let registry = registry().misbehaving(move |ask| {
        let inner = serve(ask.content.to_vec(), ask.offset);
        let life = Arc::clone(&life);
        Some(Ok(RemoteBlob { offset: ask.offset, content: Box::new(Mortal { inner, life }) }))
    });
    let store = Store::open(Path::new(root)).unwrap();
    let conn = Connection::open(Path::new(root).join("state.db")).unwrap();
    let mut events = 0;
    let mut progress = |_| {
        events += 1;
        if kind == "events" && events == number {
            die();
        }
    };
    let options = PullOptions { downloads: 2, ..PullOptions::default() };
    store.pull(&conn, &registry, &"app".parse().unwrap(), &options, &mut progress).unwrap();
}

/// Runs a pull that dies; false if it lived to its end.
fn pull_and_die(root: &Path, kind: &str, number: u64) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::killed::child", "--nocapture"])
        .env(ENVIRONMENT, format!("{} {kind} {number}", root.display()))
        .output()
        .unwrap();
    assert!(
        output.status.success() || std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    !output.status.success()
}

/// Every blob with a name is what its name says.
fn assert_whole(setup: &Setup) {
    for (_, blob) in setup.store.blob_files().unwrap() {
        setup.store.content.verify(&blob).unwrap();
    }
    for (_, chain) in setup.store.layer_directories().unwrap() {
        assert!(setup.store.layers.info(&chain).unwrap().is_some());
    }
}

/// Bytes of each part.
fn parts(setup: &Setup) -> Vec<(Digest, u64)> {
    let files = setup.store.partial_files().unwrap();
    files.into_iter().map(|(path, blob)| (blob, path.metadata().unwrap().len())).collect()
}

fn repeat_and_compare(setup: &Setup, context: &str) {
    assert_whole(setup);
    assert!(setup.store.list(&setup.conn).unwrap().is_empty(), "{context}");
    // Somebody else cleans up meanwhile.
    setup.store.collect_garbage(&setup.conn).unwrap();
    let parts = parts(setup);
    let whole: Vec<Digest> = setup.store.blob_files().unwrap().into_iter().map(|(_, blob)| blob).collect();
    let registry = registry();
    setup.pull(&registry, "app").unwrap();
    for (blob, offset) in registry.take_log() {
        assert!(!whole.contains(&blob), "{context}: {blob} was here");
        let part = parts.iter().find(|(part, _)| *part == blob).map_or(0, |(_, length)| *length);
        assert_eq!(offset, part, "{context}: {blob}");
    }
    let image = setup.store.resolve(&setup.conn, "app").unwrap();
    setup.store.verify(&setup.conn, &image).unwrap();
    assert_eq!(std::fs::read(image.layer_dirs[3].join("d/f10")).unwrap().len(), 10);
    assert_eq!(setup.store.check(&setup.conn, false).unwrap(), [], "{context}");
    for directory in ["blobs/partial", "blobs/leases", "blobs/tmp", "layers/tmp"] {
        assert_eq!(list(&setup.root.path().join(directory)), [""; 0], "{context}: {directory}");
    }
}

#[test]
fn by_bytes() {
    let total: u64 = registry().blobs.lock().unwrap().values().map(|blob| blob.len() as u64).sum();
    let mut kept = 0;
    for point in 0..10 {
        let setup = Setup::new();
        let bytes = 1 + total * point / 10;
        assert!(pull_and_die(setup.root.path(), "bytes", bytes), "{bytes} of {total} bytes");
        kept += parts(&setup).len() + setup.store.blob_files().unwrap().len();
        repeat_and_compare(&setup, &format!("after {bytes} of {total} bytes"));
    }
    assert!(kept > 10, "nothing was left to go on with");
}

#[test]
fn by_events() {
    for number in [1, 4, 8, 12, 16, 20, 24, 28] {
        let setup = Setup::new();
        if pull_and_die(setup.root.path(), "events", number) {
            repeat_and_compare(&setup, &format!("at event {number}"));
        } else {
            assert!(number > 20, "{number} events");
        }
    }
}

#[test]
fn again_and_again() {
    let setup = Setup::new();
    let mut deaths = 0;
    // Each pull comes some way further, so they end.
    while pull_and_die(setup.root.path(), "bytes", 200_000) {
        deaths += 1;
        assert!(deaths < 20, "the pulls do not get on");
        assert_whole(&setup);
    }
    assert!(deaths >= 4, "{deaths}");
    assert_eq!(setup.store.check(&setup.conn, false).unwrap(), []);
    assert_eq!(list(&setup.root.path().join("blobs/leases")), [""; 0]);
}

#[test]
fn what_a_dead_pull_left_goes_when_it_is_asked_for_or_old() {
    for old in [false, true] {
        let setup = Setup::new();
        assert!(pull_and_die(setup.root.path(), "bytes", 400_000));
        assert!(!parts(&setup).is_empty());
        assert!(setup.store.usage(&setup.conn, &[]).unwrap().leftovers > 0);
        if old {
            let leases = setup.root.path().join("blobs/leases");
            for name in list(&leases) {
                let file = std::fs::File::options().write(true).open(leases.join(name)).unwrap();
                let day = std::time::Duration::from_hours(25);
                file.set_modified(std::time::SystemTime::now() - day).unwrap();
            }
            let empty = super::image::Layout::new().image("empty", &[]).tar();
            setup.load(&empty).unwrap();
            let options = crate::RemoveOptions::default();
            setup.store.remove(&setup.conn, "empty", options, &|_| Ok(Vec::new())).unwrap();
        } else {
            setup.store.prune(&setup.conn, &crate::PruneOptions::default(), &|_| Ok(Vec::new())).unwrap();
        }
        assert_eq!(parts(&setup), []);
        setup.assert_empty();
        assert_eq!(setup.store.usage(&setup.conn, &[]).unwrap(), crate::Usage::default());
    }
}

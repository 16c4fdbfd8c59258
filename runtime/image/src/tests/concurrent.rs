//! Several loads and pulls at once, and loads that die.

use std::io::Read;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::image::{Layout, Setup, Tar, list};
use super::origin::layer;
use super::registry::{Registry, error};
use crate::{
    Error, Input, LoadOptions, PruneOptions, PullOptions, Reference, RemoteBlob, RemoveOptions, Store,
};

/// Layers of which each needs the ones below: parents without entries, links to their files.
fn dependent_layers(count: usize) -> Vec<Vec<u8>> {
    let base = Tar::new().directory("d", 0o711).file("d/0", "0").end();
    let above = (1..count).map(|number| {
        let below = format!("d/{}", number - 1);
        Tar::new().file(&format!("d/{number}"), "x").hard_link(&format!("d/link{number}"), &below).end()
    });
    std::iter::once(base).chain(above).collect()
}

#[test]
fn layers_that_need_each_other_unpack_in_parallel() {
    let setup = Setup::new();
    let layers = dependent_layers(40);
    setup.unpack(&layers).unwrap();
    let image = setup.store.resolve(&setup.conn, "test").unwrap();
    assert_eq!(image.layer_dirs.len(), 40);
    for (number, directory) in image.layer_dirs.iter().enumerate().skip(1) {
        assert_eq!(list(&directory.join("d")).len(), 3, "layer {number}");
    }
}

#[test]
fn the_lowest_failure_is_the_one_that_is_told() {
    let mut layers = dependent_layers(20);
    layers[3] = Tar::new().file("../x", "").end();
    let setup = Setup::new();
    for _ in 0..10 {
        let reason = setup.refusal(&layers);
        assert!(reason.contains("has \"..\" in its path"), "{reason}");
    }
    setup.assert_empty();
}

#[test]
fn loads_of_images_with_common_layers_share_the_work() {
    let setup = Setup::new();
    let layers = dependent_layers(8);
    let barrier = Barrier::new(6);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (layers, root, barrier) = (&layers, setup.root.path(), &barrier);
            scope.spawn(move || {
                let archive = Layout::new().image(&format!("app:{number}"), &layers[..8 - number]).tar();
                let store = Store::open(root).unwrap();
                let conn = Connection::open(root.join("state.db")).unwrap();
                conn.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
                barrier.wait();
                store
                    .load(&conn, Input::Reader(&mut &archive[..]), &LoadOptions::default(), &mut |_| {})
                    .unwrap();
            });
        }
    });
    // Eight chain ids, `empty` and `tmp`.
    assert_eq!(list(&setup.root.path().join("layers")).len(), 10);
    assert_eq!(list(&setup.root.path().join("layers/tmp")), [""; 0]);
    assert_eq!(setup.store.list(&setup.conn).unwrap().len(), 6);
}

#[test]
fn what_a_killed_load_left_is_removed_by_the_next() {
    let setup = Setup::new();
    let root = setup.root.path();
    std::fs::create_dir_all(root.join("layers/tmp/dead/diff/deep")).unwrap();
    std::fs::create_dir_all(root.join("blobs/tmp/dead")).unwrap();
    std::fs::write(root.join("blobs/tmp/dead/0"), "half").unwrap();
    // Whole content that the database never heard of.
    let layers = dependent_layers(2);
    setup.unpack(&layers).unwrap();
    let image = setup.store.resolve(&setup.conn, "test").unwrap();
    setup
        .conn
        .execute_batch("DELETE FROM image_names; DELETE FROM image_layers; DELETE FROM images;")
        .unwrap();
    setup.unpack(&layers).unwrap();
    assert_eq!(setup.store.resolve(&setup.conn, "test").unwrap().size, image.size);
    assert!(list(&root.join("layers/tmp")).is_empty() && list(&root.join("blobs/tmp")).is_empty());
}

#[test]
fn pulls_of_the_same_image_share_the_work() {
    let setup = Setup::new();
    let layers = [layer("a", 400_000), layer("b", 100_000), layer("c", 10)];
    let registry = Registry::with(&layers);
    registry.add("other", &layers);
    let barrier = Barrier::new(5);
    std::thread::scope(|scope| {
        for number in 0..5 {
            let (root, registry, barrier) = (setup.root.path(), &registry, &barrier);
            scope.spawn(move || {
                let (store, conn) = open(root);
                barrier.wait();
                let name = format!("app:{}", if number == 0 { "other" } else { "latest" });
                let reference: Reference = name.parse().unwrap();
                let options = PullOptions { downloads: 1 + number % 3, ..PullOptions::default() };
                store.pull(&conn, registry, &reference, &options, &mut |_| {}).unwrap();
            });
        }
    });
    let mut asked: Vec<_> = registry.take_log();
    asked.sort();
    let before = asked.len();
    asked.dedup();
    assert_eq!((before, asked.len()), (4, 4), "each blob was asked for once, from its beginning");
    assert_eq!(setup.store.list(&setup.conn).unwrap().len(), 2);
    assert_eq!(setup.store.check(&setup.conn, false).unwrap(), []);
}

#[test]
fn the_heir_of_a_failed_pull_goes_on_where_it_ended() {
    let setup = Setup::new();
    let failing = Registry::with(&[layer("a", 400_000)]).misbehaving(|ask| {
        (ask.content.len() > 200_000).then(|| {
            if ask.before > 0 {
                return Err(error(crate::RemoteErrorKind::Denied));
            }
            // Long enough for the other one to wait for it.
            let start = std::io::Cursor::new(ask.content[..150_000].to_vec());
            Ok(RemoteBlob { offset: 0, content: Box::new(start.chain(Pause(20))) })
        })
    });
    let honest = Registry::with(&[layer("a", 400_000)]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let (store, conn) = open(setup.root.path());
            store.pull(&conn, &failing, &"app".parse().unwrap(), &PullOptions::default(), &mut |_| {})
        });
        while setup.store.partial_files().unwrap().is_empty() {
            std::thread::yield_now();
        }
        setup.pull(&honest, "app").unwrap();
        assert_eq!(first.join().unwrap().unwrap_err().to_string(), "the registry answers Denied");
    });
    let blob = honest.layers()[0].clone();
    assert!(honest.take_log().contains(&(blob, 150_000)), "{:?}", honest.take_log());
    assert_eq!(setup.store.check(&setup.conn, false).unwrap(), []);
}

/// Nothing comes for a while, then the connection ends.
struct Pause(u32);

impl Read for Pause {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        std::thread::sleep(std::time::Duration::from_millis(u64::from(self.0)));
        Ok(0)
    }
}

#[test]
fn pulls_removals_and_collections_at_once() {
    let setup = Setup::new();
    let registry = Registry::with(&[layer("base", 60_000), layer("one", 30_000)]);
    registry.add("two", &[layer("base", 60_000), layer("two", 30_000)]);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pullers: Vec<_> = ["latest", "two", "latest"]
            .into_iter()
            .map(|tag| {
                let (root, registry) = (setup.root.path(), &registry);
                scope.spawn(move || {
                    let (store, conn) = open(root);
                    let reference: Reference = format!("app:{tag}").parse().unwrap();
                    for _ in 0..15 {
                        let options = PullOptions::default();
                        store.pull(&conn, registry, &reference, &options, &mut |_| {}).unwrap();
                        let removed = store.remove(
                            &conn,
                            &reference.familiar(),
                            RemoveOptions { force: true, no_prune: false },
                            &|_| Ok(Vec::new()),
                        );
                        assert!(matches!(removed, Ok(_) | Err(Error::NoSuchImage(_))), "{removed:?}");
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let (store, conn) = open(setup.root.path());
            while !over.load(Ordering::Relaxed) {
                store.prune(&conn, &PruneOptions::default(), &|_| Ok(Vec::new())).unwrap();
                store.check(&conn, false).unwrap();
            }
        });
        let results: Vec<_> = pullers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        for result in results {
            result.unwrap();
        }
    });
    setup.pull(&registry, "app").unwrap();
    let image = setup.store.resolve(&setup.conn, "app").unwrap();
    setup.store.verify(&setup.conn, &image).unwrap();
    assert!(image.layer_dirs.iter().all(|path| path.join("d").is_dir()));
    assert_eq!(setup.store.check(&setup.conn, false).unwrap(), []);
}

fn open(root: &std::path::Path) -> (Store, Connection) {
    let conn = Connection::open(root.join("state.db")).unwrap();
    conn.busy_timeout(std::time::Duration::from_mins(1)).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON").unwrap();
    (Store::open(root).unwrap(), conn)
}

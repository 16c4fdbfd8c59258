//! Several loads at once, and loads that die.

use std::sync::Barrier;

use rusqlite::Connection;

use super::image::{Layout, Setup, Tar, list};
use crate::{Input, LoadOptions, Store};

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
    std::fs::write(root.join("layers/tmp/chain.lock"), "").unwrap();
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

//! `check`: what is found in a damaged store, and what a repair makes of it.

use super::image::{Layout, Setup, Tar};
use crate::{Finding, Image, Problem};

fn layer(name: &str) -> Vec<u8> {
    Tar::new().directory("d/", 0o750).file(&format!("d/{name}"), name).end()
}

fn filled() -> (Setup, Image) {
    let setup = Setup::new();
    setup.load(&Layout::new().image("app", &[layer("one"), layer("two")]).tar()).unwrap();
    let image = setup.store.resolve(&setup.conn, "app").unwrap();
    assert_eq!(setup.store.check(&setup.conn, false).unwrap(), []);
    (setup, image)
}

impl Setup {
    /// What is found, with and without repair, and what stays after it.
    fn findings(&self) -> (Vec<Finding>, Vec<Finding>) {
        let found = self.store.check(&self.conn, false).unwrap();
        assert!(found.iter().all(|finding| !finding.repaired));
        let repaired = self.store.check(&self.conn, true).unwrap();
        let problems = |findings: &[Finding]| findings.iter().map(|f| f.problem.clone()).collect::<Vec<_>>();
        assert_eq!(problems(&found), problems(&repaired));
        (repaired, self.store.check(&self.conn, false).unwrap())
    }
}

#[test]
fn a_corrupt_blob_goes_and_is_missing_then() {
    let (setup, image) = filled();
    std::fs::write(setup.store.content.path(&image.id), "x").unwrap();
    let (found, left) = setup.findings();
    let images = vec!["app:latest".to_owned()];
    let problem = Problem::CorruptBlob { blob: image.id.clone(), images: images.clone() };
    assert_eq!(found, [Finding { problem, repaired: true }]);
    let problem = Problem::MissingBlob { blob: image.id.clone(), images };
    assert_eq!(left, [Finding { problem, repaired: false }]);
    assert_eq!(
        left[0].to_string(),
        format!("blob {} is missing (of app:latest); pull or load the image again", image.id)
    );
    setup.load(&Layout::new().image("app", &[layer("one"), layer("two")]).tar()).unwrap();
    assert_eq!(setup.store.check(&setup.conn, false).unwrap(), []);
}

#[test]
fn a_missing_layer_is_unpacked_again() {
    let (setup, image) = filled();
    std::fs::remove_dir_all(image.layer_dirs[1].parent().unwrap()).unwrap();
    let (found, left) = setup.findings();
    assert!(matches!(&found[..], [Finding { problem: Problem::MissingLayer { .. }, repaired: true }]));
    assert_eq!(left, []);
    assert_eq!(std::fs::read(image.layer_dirs[1].join("d/two")).unwrap(), b"two");
}

#[test]
fn facts_that_do_not_fit() {
    let (setup, image) = filled();
    let facts = image.layer_dirs[0].parent().unwrap().join("layer.json");
    let right = std::fs::read_to_string(&facts).unwrap();
    for (text, reason) in [
        (right.replace("\"size\":3", "\"size\":4"), "it says that it has 4 bytes, the database says 3"),
        (right.replace(image.chain_ids[0].hex(), image.id.hex()), "it says that its content is sha256:"),
        ("{".to_owned(), "the facts beside it cannot be read"),
    ] {
        std::fs::write(&facts, text).unwrap();
        let (found, left) = setup.findings();
        let [Finding { problem: Problem::LayerMismatch { chain, reason: told }, .. }] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(*chain, image.chain_ids[0]);
        assert!(told.starts_with(reason), "{told}");
        assert_eq!(left.len(), 1);
    }
}

#[test]
fn files_that_nobody_needs() {
    let (setup, image) = filled();
    let root = setup.root.path();
    let stray = crate::Digest::sha256(b"stray");
    std::fs::write(setup.store.content.path(&stray), "stray").unwrap();
    std::fs::write(setup.store.content.partial_path(&stray), "str").unwrap();
    std::fs::create_dir_all(setup.store.layers.diff(&stray)).unwrap();
    std::fs::create_dir_all(root.join("blobs/tmp/dead")).unwrap();
    std::fs::write(root.join("layers/notes.txt"), "").unwrap();
    std::fs::write(root.join("blobs/sha256/README"), "").unwrap();
    let (found, left) = setup.findings();
    let repaired: Vec<_> = found.iter().filter(|f| f.repaired).map(|f| &f.problem).collect();
    assert_eq!(
        repaired,
        [
            &Problem::DeadTemporary { path: root.join("blobs/tmp/dead") },
            &Problem::UnusedBlob { blob: stray.clone() },
            &Problem::StalePartial { path: setup.store.content.partial_path(&stray) },
            &Problem::UnusedLayer { chain: stray },
        ]
    );
    let left: Vec<_> = left.into_iter().map(|f| f.problem).collect();
    assert_eq!(
        left,
        [
            Problem::UnknownFile { path: root.join("blobs/sha256/README") },
            Problem::UnknownFile { path: root.join("layers/notes.txt") },
        ]
    );
    setup.store.verify(&setup.conn, &image).unwrap();
}

#[test]
fn rows_that_lead_nowhere() {
    let (setup, image) = filled();
    setup
        .conn
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO image_names VALUES ('docker.io/library/x:y', 'docker.io/library/x', 'sha256:00', 0);
             INSERT INTO layers VALUES ('sha256:00', 'sha256:00', 0, 0);
             UPDATE images SET config = X'7b7d';",
        )
        .unwrap();
    let (found, left) = setup.findings();
    assert!(found.iter().all(|finding| finding.repaired), "{found:?}");
    let problems: Vec<_> = found.into_iter().map(|finding| finding.problem).collect();
    assert_eq!(
        problems,
        [
            Problem::DanglingRow { table: "image_names", row: "docker.io/library/x:y".into() },
            Problem::DanglingRow { table: "layers", row: "sha256:00".into() },
            Problem::ConfigMismatch { image: image.id.clone() },
        ]
    );
    assert_eq!(left, []);
    assert_eq!(setup.store.resolve(&setup.conn, "app").unwrap().raw_config, image.raw_config);
}

//! `commit`: a container's changes become an image on top of its own.

use serde_json::{Map, Value, json};

use super::image::{Layout, Setup, Tar, list};
use crate::{CommitOptions, Error, Image, Imported};

fn parent(setup: &Setup) -> Image {
    let layer = Tar::new().directory("etc", 0o755).file("etc/a", "1").file("etc/b", "2").end();
    setup.load(&Layout::new().image("base:v1", &[layer]).tar()).unwrap();
    setup.store.resolve(&setup.conn, "base:v1").unwrap()
}

fn commit(setup: &Setup, parent: &Image, tar: &[u8], options: &CommitOptions) -> Result<Imported, Error> {
    setup.store.commit(&setup.conn, parent, &mut &*tar, options)
}

#[test]
fn one_more_layer() {
    let setup = Setup::new();
    let parent = parent(&setup);
    let Value::Object(config) = json!({ "Cmd": ["sh"], "Env": ["A=1"] }) else { panic!("a map") };
    let options = CommitOptions {
        name: Some("child:v2".parse().unwrap()),
        config,
        changes: vec!["ENV B=$A".parse().unwrap(), "ENTRYPOINT [\"/e\"]".parse().unwrap()],
        author: "me".to_owned(),
        message: "why".to_owned(),
        created_by: "sh -c x".to_owned(),
        ..CommitOptions::default()
    };
    let tar = Tar::new().directory("etc", 0o755).file("etc/.wh.a", "").file("etc/c", "3").end();
    let made = commit(&setup, &parent, &tar, &options).unwrap();
    let child = setup.store.resolve(&setup.conn, "child:v2").unwrap();
    assert_eq!((&child.id, child.layer_dirs.len()), (&made.id, 2));
    assert_eq!(child.chain_ids[0], parent.chain_ids[0], "the layers below are the parent's");
    assert_eq!(std::fs::read(child.layer_dirs[1].join("etc/c")).unwrap(), b"3");
    let config = child.config.config().as_ref().unwrap();
    assert_eq!(config.env().as_ref().unwrap(), &["A=1", "B=1"]);
    assert!(config.cmd().is_none(), "an entrypoint takes the command back");
    let steps = setup.store.history(&setup.conn, &child).unwrap();
    assert_eq!((steps[0].comment.as_str(), steps[0].created_by.as_str()), ("why", "sh -c x"));
    let raw: Value = serde_json::from_slice(&child.raw_config).unwrap();
    assert_eq!(
        (&raw["author"], &raw["history"].as_array().unwrap().last().unwrap()["author"]),
        (&json!("me"), &json!("me"))
    );
    setup.store.verify(&setup.conn, &child).unwrap();
    assert!(setup.store.check(&setup.conn, false).unwrap().is_empty());
    let blobs = list(&setup.root.path().join("blobs/sha256"));
    assert!(blobs.iter().all(|name| name.len() == 64), "{blobs:?}");
    // On top of that, and by another name that moves.
    let again = commit(&setup, &child, &tar, &options).unwrap();
    assert_eq!(again.replaced, Some(child.manifest));
    assert_eq!(setup.store.resolve(&setup.conn, "child:v2").unwrap().layer_dirs.len(), 3);
}

#[test]
fn no_changes_make_no_layer() {
    let setup = Setup::new();
    let parent = parent(&setup);
    let options = CommitOptions { config: Map::new(), ..CommitOptions::default() };
    let made = commit(&setup, &parent, &[0; 1024], &options).unwrap();
    let child = setup.store.resolve(&setup.conn, &made.id.to_string()).unwrap();
    assert_eq!(child.chain_ids, parent.chain_ids);
    let raw: Value = serde_json::from_slice(&child.raw_config).unwrap();
    assert_eq!(raw["history"].as_array().unwrap().last().unwrap()["empty_layer"], json!(true));
}

#[test]
fn a_layer_that_breaks_off_makes_no_image() {
    struct Broken(bool);
    impl std::io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, false) {
                buffer[..512].fill(1);
                return Ok(512);
            }
            Err(std::io::Error::other("the container is gone"))
        }
    }
    let setup = Setup::new();
    let parent = parent(&setup);
    let options = CommitOptions { name: Some("x".parse().unwrap()), ..CommitOptions::default() };
    let error = setup.store.commit(&setup.conn, &parent, &mut Broken(true), &options).unwrap_err();
    assert!(error.to_string().contains("the container is gone"), "{error}");
    for tar in [&[1u8; 700][..], &Tar::new().file("../x", "").end()] {
        commit(&setup, &parent, tar, &options).unwrap_err();
    }
    assert!(setup.store.resolve(&setup.conn, "x").is_err());
    assert!(list(&setup.root.path().join("blobs/tmp")).is_empty());
}

#[test]
fn a_parent_that_was_removed() {
    let setup = Setup::new();
    let mut parent = parent(&setup);
    parent.manifest = crate::Digest::sha256(b"another");
    let error = commit(&setup, &parent, &[0; 1024], &CommitOptions::default()).unwrap_err();
    assert!(matches!(error, Error::NoSuchImage(_)), "{error}");
}

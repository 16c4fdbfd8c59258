//! What `pull` brings, what it does not fetch again, and what it calls things.

use serde_json::json;

use super::image::{INDEX, LAYER, Layout, MANIFEST, Setup, Tar, list};
use super::registry::Registry;
use crate::{Digest, Error, Limits, PullOptions, PullState, PullStatus, Reference};

fn layer(name: &str) -> Vec<u8> {
    Tar::new().directory("d/", 0o750).file(&format!("d/{name}"), name).end()
}

fn layers(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| layer(name)).collect()
}

#[test]
fn an_image_comes_with_all_that_is_known_of_it() {
    let setup = Setup::new();
    let registry = Registry::with(&layers(&["one", "two"]));
    let (pulled, events) = setup.pull_with(&registry, "alpine", &PullOptions::default());
    let pulled = pulled.unwrap();
    assert_eq!(pulled.status, PullStatus::Downloaded);
    assert_eq!(pulled.digest, pulled.manifest);
    let image = setup.store.resolve(&setup.conn, "alpine").unwrap();
    assert_eq!((&image.id, &image.manifest), (&pulled.id, &pulled.manifest));
    assert_eq!(std::fs::read(image.layer_dirs[1].join("d/two")).unwrap(), b"two");
    setup.store.verify(&setup.conn, &image).unwrap();
    let by_digest = format!("alpine@{}", pulled.digest);
    assert_eq!(setup.store.resolve(&setup.conn, &by_digest).unwrap().id, image.id);
    assert_eq!(setup.store.list(&setup.conn).unwrap()[0].digest.as_ref(), Some(&pulled.digest));
    for directory in ["blobs/tmp", "blobs/partial", "blobs/leases", "layers/tmp"] {
        assert_eq!(list(&setup.root.path().join(directory)), [""; 0], "{directory}");
    }
    assert_eq!(setup.store.collect_garbage(&setup.conn).unwrap(), crate::Collected::default());

    for blob in registry.layers() {
        let states: Vec<String> =
            events.iter().filter(|e| e.layer == blob).map(|e| e.state.to_string()).collect();
        assert_eq!(states.first().unwrap(), "Pulling fs layer");
        assert_eq!(states.last().unwrap(), "Pull complete");
        let complete = states.iter().position(|state| state == "Download complete").unwrap();
        assert!(states[..complete].contains(&"Verifying Checksum".to_owned()), "{states:?}");
    }
    let (first, of) = (&registry.layers()[0], |state| move |e: &&crate::PullEvent| e.state == state);
    let size = registry.blobs.lock().unwrap()[first].len() as u64;
    let whole = PullState::Downloading { current: size, total: size };
    assert!(events.iter().filter(|e| e.layer == *first).any(|e| of(whole)(&e)));
}

#[test]
fn what_is_here_is_not_fetched_again() {
    let setup = Setup::new();
    let registry = Registry::with(&layers(&["base", "one"]));
    setup.pull(&registry, "app").unwrap();
    assert_eq!(registry.take_log().len(), 3);
    let (pulled, events) = setup.pull_with(&registry, "app", &PullOptions::default());
    assert_eq!((pulled.unwrap().status, events), (PullStatus::UpToDate, vec![]));
    assert_eq!(registry.take_log(), []);

    registry.add("latest", &layers(&["base", "two"]));
    let (pulled, events) = setup.pull_with(&registry, "app", &PullOptions::default());
    assert!(pulled.unwrap().replaced.is_some());
    let [base, two] = &registry.layers()[..] else { panic!("two layers") };
    assert!(events.iter().any(|e| e.layer == *base && e.state == PullState::AlreadyExists));
    assert_eq!(registry.take_log().iter().filter(|(blob, _)| blob == base).count(), 0);
    assert!(events.iter().any(|e| e.layer == *two && e.state == PullState::PullComplete));

    // A new name for what is here.
    assert_eq!(setup.pull(&registry, "other").unwrap().status, PullStatus::Downloaded);
    assert_eq!(registry.take_log(), []);
}

#[test]
fn a_layer_that_came_in_another_compression_is_fetched_but_not_unpacked_again() {
    let setup = Setup::new();
    let content = layers(&["base"]);
    setup.load(&Layout::new().image("loaded", &content).tar()).unwrap();
    let before = std::fs::metadata(setup.root.path().join("layers")).unwrap().modified().unwrap();
    let registry = Registry::with(&content);
    setup.pull(&registry, "pulled").unwrap();
    assert_eq!(std::fs::metadata(setup.root.path().join("layers")).unwrap().modified().unwrap(), before);
    let image = setup.store.resolve(&setup.conn, "pulled").unwrap();
    setup.store.verify(&setup.conn, &image).unwrap();
}

#[test]
fn damage_is_repaired_by_the_next_pull() {
    let setup = Setup::new();
    let registry = Registry::with(&layers(&["one", "two"]));
    setup.pull(&registry, "app").unwrap();
    let image = setup.store.resolve(&setup.conn, "app").unwrap();
    std::fs::remove_dir_all(image.layer_dirs[1].parent().unwrap()).unwrap();
    std::fs::remove_file(setup.store.content.path(&registry.layers()[0])).unwrap();
    registry.take_log();
    assert_eq!(setup.pull(&registry, "app").unwrap().status, PullStatus::UpToDate);
    assert_eq!(registry.take_log(), [(registry.layers()[0].clone(), 0)]);
    assert_eq!(std::fs::read(image.layer_dirs[1].join("d/two")).unwrap(), b"two");
    setup.store.verify(&setup.conn, &image).unwrap();
}

#[test]
fn a_damaged_blob_of_the_store_is_named_as_the_cause() {
    let setup = Setup::new();
    let registry = Registry::with(&layers(&["one"]));
    setup.pull(&registry, "app").unwrap();
    let image = setup.store.resolve(&setup.conn, "app").unwrap();
    std::fs::remove_dir_all(image.layer_dirs[0].parent().unwrap()).unwrap();
    let path = setup.store.content.path(&registry.layers()[0]);
    let mut content = std::fs::read(&path).unwrap();
    content[20] ^= 1;
    std::fs::write(&path, content).unwrap();
    let error = setup.pull(&registry, "app").unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
}

#[test]
fn digests_and_tags_as_names() {
    let setup = Setup::new();
    let registry = Registry::with(&layers(&["one"]));
    let digest = registry.add("v1", &layers(&["two"]));
    let pulled = setup.pull(&registry, &format!("app:ignored@{digest}")).unwrap();
    assert_eq!((pulled.digest, pulled.status), (digest.clone(), PullStatus::Downloaded));
    let listed = setup.store.list(&setup.conn).unwrap();
    assert_eq!(listed.len(), 1);
    let reference = listed[0].reference.as_ref().unwrap();
    assert_eq!((reference.familiar(), reference.tag()), (format!("app@{digest}"), None));
    let again = setup.pull(&registry, &format!("app@{digest}")).unwrap();
    assert_eq!(again.status, PullStatus::UpToDate);
    assert!(matches!(setup.store.resolve(&setup.conn, "app"), Err(Error::NoSuchImage(_))));
    setup.pull(&registry, "app:v1").unwrap();
    assert_eq!(setup.store.list(&setup.conn).unwrap().len(), 1);
    let error = setup.pull(&registry, "app:v2").unwrap_err();
    assert_eq!(error.to_string(), "the registry answers NotFound");
}

#[test]
fn the_platform_is_chosen_through_indexes() {
    let setup = Setup::new();
    let registry = Registry::default();
    let amd = registry.add("amd", &layers(&["one"]));
    let inner = registry.index("inner", &[registry.descriptor(&amd, "amd64")]);
    let mut attestation = registry.descriptor(&amd, "unknown");
    attestation["platform"]["os"] = "unknown".into();
    let inner = registry.descriptor(&inner, "amd64");
    let top = registry.index("latest", &[attestation, inner]);
    let pulled = setup.pull(&registry, "app").unwrap();
    assert_eq!((&pulled.digest, &pulled.manifest), (&top, &amd));
    assert_eq!(setup.store.resolve(&setup.conn, &format!("app@{top}")).unwrap().manifest, amd);

    let options = PullOptions { platform: Some("linux/riscv64".parse().unwrap()), ..PullOptions::default() };
    assert_eq!(
        setup.pull_with(&registry, "app", &options).0.unwrap_err().to_string(),
        "no matching manifest for linux/riscv64 in the manifest list entries: there is linux/amd64"
    );
    let error = setup.pull_with(&registry, "app:amd", &options).0.unwrap_err().to_string();
    assert!(error.starts_with("image with reference app:amd was found but does not provide"), "{error}");
}

#[test]
fn odd_but_honest_images() {
    let setup = Setup::new();
    let registry = Registry::default();
    registry.add("empty", &[]);
    setup.pull(&registry, "app:empty").unwrap();
    assert_eq!(setup.store.resolve(&setup.conn, "app:empty").unwrap().size, 0);
    // The same layer twice, also at once in the registry.
    registry.add("latest", &layers(&["one", "one", "two", "one"]));
    registry.take_log();
    let (pulled, events) = setup.pull_with(&registry, "app", &PullOptions::default());
    pulled.unwrap();
    assert_eq!(registry.take_log().len(), 3, "a config and two blobs");
    assert_eq!(setup.store.resolve(&setup.conn, "app").unwrap().layer_dirs.len(), 4);
    let done = events.iter().filter(|e| e.state == PullState::PullComplete).count();
    assert_eq!(done, 2);
    // Without a media type of its own the registry's word counts.
    registry.edit("latest", |manifest| drop(manifest.as_object_mut().unwrap().remove("mediaType")));
    setup.pull(&registry, "app").unwrap();
}

#[test]
fn sources_are_remembered_for_mounts() {
    let setup = Setup::new();
    let registry = Registry::with(&layers(&["one"]));
    for name in ["host:5000/a/b", "host:5000/c", "other:5000/d"] {
        setup.pull(&registry, name).unwrap();
    }
    let blob = &registry.layers()[0];
    let mut sources = crate::database::sources(&setup.conn, blob, "host:5000").unwrap();
    sources.sort();
    assert_eq!(sources, ["a/b", "c"]);
}

#[test]
fn manifests_that_are_refused_before_anything_is_fetched() {
    let setup = Setup::new();
    let check = |reason: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        let registry = Registry::with(&layers(&["one"]));
        registry.edit("latest", edit);
        let limits = Limits { archive: 1 << 30, ..Limits::default() };
        let options = PullOptions { limits, ..PullOptions::default() };
        let found = setup.pull_with(&registry, "app", &options).0.unwrap_err().to_string();
        assert!(found.contains(reason), "{found:?} instead of {reason:?}");
        assert_eq!(registry.take_log(), [], "{reason}");
        setup.assert_empty();
    };
    check("number of layers (501)", &|m| m["layers"] = vec![m["layers"][0].clone(); 501].into());
    check("size of all layers", &|m| m["layers"][0]["size"] = (1u64 << 40).into());
    check("size of all layers", &|m| m["layers"][0]["size"] = u64::MAX.into());
    check("size of image config", &|m| m["config"]["size"] = (1u64 << 40).into());
    check("invalid value", &|m| m["layers"][0]["size"] = (-1).into());
    check("invalid digest", &|m| m["layers"][0]["digest"] = "sha256:../../../etc/passwd".into());
    check("schemaVersion 3", &|m| m["schemaVersion"] = 3.into());
    check("an index and a manifest at once", &|m| m["manifests"] = json!([]));
    check("is not distributable (application/vnd.docker.image.rootfs.foreign", &|m| {
        m["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
        m["layers"][0]["urls"] = json!(["https://elsewhere/layer"]);
    });
    check("come from https://elsewhere/layer", &|m| {
        m["layers"][0]["mediaType"] =
            LAYER.replace("layer.v1", "layer.nondistributable.v1").replace("v1.tar", "v1.tar+gzip").into();
        m["layers"][0]["urls"] = json!(["https://elsewhere/layer"]);
    });
}

#[test]
fn indexes_that_are_refused() {
    let setup = Setup::new();
    let registry = Registry::default();
    let mut inner = registry.add("amd", &[]);
    for _ in 0..6 {
        inner = registry.index("deep", &[registry.descriptor(&inner, "amd64")]);
    }
    let error = setup.pull(&registry, "app:deep").unwrap_err().to_string();
    assert!(error.contains("nesting of indexes"), "{error}");

    // An index that claims to contain itself can only lie about its digest.
    let claimed = Digest::sha256(b"x");
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [
        { "mediaType": INDEX, "digest": claimed, "size": 1, "platform": { "os": "linux", "architecture": "amd64" } }
    ] });
    let bytes = index.to_string().into_bytes();
    for name in ["self".to_owned(), claimed.to_string()] {
        registry.manifests.lock().unwrap().insert(name, (INDEX.to_owned(), bytes.clone()));
    }
    assert!(matches!(setup.pull(&registry, "app:self"), Err(Error::DigestMismatch { .. })));

    let wrong = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "manifests": [] });
    registry.manifest("wrong", INDEX, &wrong);
    assert!(setup.pull(&registry, "app:wrong").unwrap_err().to_string().contains("calls itself"));
    registry.index("none", &[]);
    assert!(setup.pull(&registry, "app:none").unwrap_err().to_string().contains("there is none"));
    let mut lying = registry.descriptor(&registry.add("amd", &[]), "amd64");
    lying["size"] = 7.into();
    registry.index("size", &[lying]);
    assert!(matches!(setup.pull(&registry, "app:size"), Err(Error::SizeMismatch { .. })));
    let huge = vec![b' '; (4 << 20) + 1];
    registry.manifests.lock().unwrap().insert("huge".into(), (MANIFEST.to_owned(), huge));
    assert!(matches!(setup.pull(&registry, "app:huge"), Err(Error::Limit { .. })));
    setup.assert_empty();
}

#[test]
fn names_in_one_repository() {
    let setup = Setup::new();
    let registry = Registry::with(&layers(&["one"]));
    registry.add("v1", &layers(&["one"]));
    for name in ["app", "app:v1", "other"] {
        setup.pull(&registry, name).unwrap();
    }
    let tags = setup.store.tags(&setup.conn, "docker.io/library/app").unwrap();
    assert_eq!(tags.iter().map(Reference::familiar).collect::<Vec<_>>(), ["app:latest", "app:v1"]);
}

#[test]
fn as_many_layers_as_overlayfs_stacks() {
    let content: Vec<Vec<u8>> = (0..500).map(|number| layer(&number.to_string())).collect();
    let setup = Setup::new();
    setup.load(&Layout::new().image("loaded", &content).tar()).unwrap();
    let setup = Setup::new();
    setup.pull(&Registry::with(&content), "pulled").unwrap();
    assert_eq!(setup.store.resolve(&setup.conn, "pulled").unwrap().layer_dirs.len(), 500);
}

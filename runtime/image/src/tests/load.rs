//! What `load` takes, and what it makes of it.

use serde_json::json;

use super::image::{CONFIG, INDEX, LAYER, Layout, MANIFEST, Setup, Tar, archive, gzip, list};
use crate::{Digest, Error, Input, LoadOptions, Progress, Reference};

fn layer(name: &str) -> Vec<u8> {
    Tar::new().directory("d/", 0o750).file(&format!("d/{name}"), name).end()
}

fn names(loaded: &[crate::Loaded]) -> Vec<String> {
    loaded.iter().map(|one| one.reference.as_ref().map_or("-".into(), Reference::familiar)).collect()
}

#[test]
fn an_oci_archive_becomes_an_image() {
    let setup = Setup::new();
    let layers = [layer("one"), layer("two")];
    let loaded = setup.load(&Layout::new().image("app:v1", &layers).tar()).unwrap();
    assert_eq!(names(&loaded), ["app:v1"]);
    let image = setup.store.resolve(&setup.conn, "app:v1").unwrap();
    assert_eq!(image.id, loaded[0].id);
    assert_eq!(image.config.config().as_ref().unwrap().env().as_ref().unwrap(), &["A=b"]);
    assert_eq!(image.created, Some(1_714_979_289));
    assert_eq!(image.size, 6);
    assert_eq!(image.chain_ids[0], Digest::sha256(&layers[0]));
    let chain = format!("{} {}", Digest::sha256(&layers[0]), Digest::sha256(&layers[1]));
    assert_eq!(image.chain_ids[1], Digest::sha256(chain.as_bytes()));
    assert_eq!(std::fs::read(image.layer_dirs[1].join("d/two")).unwrap(), b"two");
    assert_eq!(list(&setup.root.path().join("layers/tmp")).len(), 0);
    assert_eq!(list(&setup.root.path().join("blobs/tmp")).len(), 0);
    setup.store.verify(&setup.conn, &image).unwrap();
}

#[test]
fn a_tag_beside_containerds_name_is_the_newer_word() {
    let setup = Setup::new();
    let mut layout = Layout::new();
    for (tag, file) in [("v1", "one"), ("v2", "two"), ("host/other:v3", "three")] {
        let mut descriptor = layout.manifest(&[layer(file)], "amd64");
        descriptor["annotations"] =
            json!({ "io.containerd.image.name": "host/app:v1", "org.opencontainers.image.ref.name": tag });
        layout.list("", descriptor);
    }
    let loaded = setup.load(&layout.tar()).unwrap();
    assert_eq!(names(&loaded), ["host/app:v1", "host/app:v2"], "one name, one image");
}

#[test]
fn every_compression_of_archive_and_layer_gives_the_same_layer() {
    for (name, compress) in [
        ("gzip", (|data| gzip(data)) as fn(&[u8]) -> Vec<u8>),
        ("zstd", |data| zstd::encode_all(data, 1).unwrap()),
        ("plain", <[u8]>::to_vec),
    ] {
        let setup = Setup::new();
        let plain = layer("file");
        let mut layout = Layout::new();
        let config = layout.document(CONFIG, &Layout::config(std::slice::from_ref(&plain), "amd64"));
        // The media type may be wrong: the content decides.
        let blob = layout.blob(&format!("{LAYER}+gzip"), &compress(&plain));
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [blob] });
        let manifest = layout.document(MANIFEST, &manifest);
        layout.list("app", manifest);
        setup.load(&compress(&layout.tar())).unwrap_or_else(|error| panic!("{name}: {error}"));
        let image = setup.store.resolve(&setup.conn, "app").unwrap();
        assert_eq!(std::fs::read(image.layer_dirs[0].join("d/file")).unwrap(), b"file", "{name}");
    }
}

#[test]
fn progress_tells_of_every_layer_to_its_end() {
    let setup = Setup::new();
    let layers = [layer("one"), layer("two")];
    let archive = Layout::new().image("app", &layers).tar();
    let mut heard = Vec::new();
    let mut progress = |event| heard.push(event);
    let options = LoadOptions::default();
    setup.store.load(&setup.conn, Input::Reader(&mut &archive[..]), &options, &mut progress).unwrap();
    for layer in &layers {
        let (diff_id, total) = (Digest::sha256(layer), layer.len() as u64);
        let whole = Progress::Layer { diff_id: diff_id.clone(), bytes: total, total };
        let read = heard.iter().position(|event| *event == whole).unwrap();
        let done = heard
            .iter()
            .position(|event| *event == Progress::LayerDone { diff_id: diff_id.clone() })
            .unwrap();
        assert!(read < done);
    }
}

#[test]
fn a_stream_is_read_to_its_padding() {
    let setup = Setup::new();
    let mut archive = Layout::new().image("app:v1", &[layer("one")]).tar();
    archive.resize(archive.len() + 500_000, 0);
    let mut stream = &archive[..];
    setup.store.load(&setup.conn, Input::Reader(&mut stream), &LoadOptions::default(), &mut |_| {}).unwrap();
    assert!(stream.is_empty(), "the writer would have got a broken pipe");
}

#[test]
fn a_directory_is_loaded_like_an_archive() {
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    for (path, data) in Layout::new().image("app:v1", &[layer("one")]).all_files() {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }
    let input = Input::Path(directory.path());
    let loaded = setup.store.load(&setup.conn, input, &LoadOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(names(&loaded), ["app:v1"]);
}

#[test]
fn the_index_gives_the_platform_that_was_asked_for() {
    let mut layout = Layout::new();
    let mut children = Vec::new();
    for architecture in ["arm64", "amd64", "s390x"] {
        let mut manifest = layout.manifest(&[layer(architecture)], architecture);
        manifest["platform"] = json!({ "os": "linux", "architecture": architecture });
        children.push(manifest);
    }
    let mut attestation = layout.document(MANIFEST, &json!({}));
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    children.push(attestation);
    let index =
        layout.document(INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }));
    layout.list("app", index);
    let archive = layout.tar();

    for (platform, found) in
        [(None, "amd64"), (Some("linux/arm64"), "arm64"), (Some("linux/arm64/v8"), "arm64")]
    {
        let setup = Setup::new();
        let platform = platform.map(|text| text.parse().unwrap());
        let options = LoadOptions { platform, ..LoadOptions::default() };
        setup.store.load(&setup.conn, Input::Reader(&mut &archive[..]), &options, &mut |_| {}).unwrap();
        let image = setup.store.resolve(&setup.conn, "app").unwrap();
        assert_eq!(image.config.architecture().to_string(), found);
    }
    let setup = Setup::new();
    let options = LoadOptions { platform: Some("linux/riscv64".parse().unwrap()), ..LoadOptions::default() };
    let error = setup.store.load(&setup.conn, Input::Reader(&mut &archive[..]), &options, &mut |_| {});
    assert_eq!(
        error.unwrap_err().to_string(),
        "no image for platform linux/riscv64 in the archive; it has linux/arm64, linux/amd64, linux/s390x"
    );
    setup.assert_empty();
}

#[test]
fn a_docker_archive_with_its_links_becomes_an_image() {
    let setup = Setup::new();
    let (first, second) = (layer("one"), gzip(&layer("two")));
    let config = Layout::config(&[layer("one"), layer("two"), layer("one")], "amd64").to_string();
    let config_name = format!("{}.json", Digest::sha256(config.as_bytes()).hex());
    let manifest = json!([{
        "Config": config_name,
        "RepoTags": ["app:v1", "localhost:5000/app:v2"],
        "Layers": ["a/layer.tar", "b/layer.tar", "c/layer.tar"],
    }]);
    let archive = Tar::new()
        .entry(b'0', "a/layer.tar", |_| {}, &first)
        .entry(b'0', "./b/layer.tar", |_| {}, &second)
        .symlink("c/layer.tar", "../a/layer.tar")
        .file(&config_name, &config)
        .file("manifest.json", &manifest.to_string())
        .end();
    let loaded = setup.load(&archive).unwrap();
    assert_eq!(names(&loaded), ["app:v1", "localhost:5000/app:v2"]);
    let image = setup.store.resolve(&setup.conn, "app:v1").unwrap();
    assert_eq!(image.id, Digest::sha256(config.as_bytes()));
    assert_eq!(image.names.len(), 2);
    assert_eq!(image.layer_dirs.len(), 3);
    assert_eq!(std::fs::read(image.layer_dirs[1].join("d/two")).unwrap(), b"two");
    setup.store.verify(&setup.conn, &image).unwrap();
}

#[test]
fn a_combined_archive_takes_names_from_the_docker_manifest() {
    let setup = Setup::new();
    let layers = [layer("one")];
    let mut files = Layout::new().image("", &layers).all_files();
    let config = Digest::sha256(Layout::config(&layers, "amd64").to_string().as_bytes());
    let manifest = json!([{
        "Config": format!("blobs/sha256/{}", config.hex()),
        "RepoTags": ["app:v3"],
        "Layers": [format!("blobs/sha256/{}", Digest::sha256(&layers[0]).hex())],
    }]);
    files.push(("manifest.json".into(), manifest.to_string().into_bytes()));
    assert_eq!(names(&setup.load(&archive(&files)).unwrap()), ["app:v3"]);
}

#[test]
fn an_archive_from_before_docker_1_10_becomes_an_image() {
    let setup = Setup::new();
    let top = json!({
        "id": "b2", "parent": "a1", "created": "2015-01-02T03:04:05Z", "architecture": "amd64", "os": "linux",
        "config": { "Cmd": ["top"] }, "container_config": { "Cmd": ["/bin/sh", "-c", "echo"] },
    });
    let archive = Tar::new()
        .file("repositories", r#"{"app":{"old":"b2"}}"#)
        .file("a1/json", r#"{"id":"a1"}"#)
        .entry(b'0', "a1/layer.tar", |_| {}, &layer("one"))
        .file("b2/json", &top.to_string())
        .entry(b'0', "b2/layer.tar", |_| {}, &layer("two"))
        .end();
    assert_eq!(names(&setup.load(&archive).unwrap()), ["app:old"]);
    let image = setup.store.resolve(&setup.conn, "app:old").unwrap();
    assert_eq!(image.config.config().as_ref().unwrap().cmd().as_ref().unwrap(), &["top"]);
    assert_eq!(std::fs::read(image.layer_dirs[0].join("d/one")).unwrap(), b"one");
    assert_eq!(std::fs::read(image.layer_dirs[1].join("d/two")).unwrap(), b"two");

    let cycle =
        Tar::new().file("repositories", r#"{"app":{"x":"a1"}}"#).file("a1/json", r#"{"parent":"a1"}"#).end();
    assert!(matches!(setup.load(&cycle), Err(Error::Limit { .. })));
}

#[test]
fn an_image_without_layers_has_one_empty_directory() {
    let setup = Setup::new();
    let directory = setup.unpack(&[]).unwrap();
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
}

#[test]
fn loading_twice_changes_nothing_and_a_new_image_takes_the_name() {
    let setup = Setup::new();
    let first = Layout::new().image("app", &[layer("one")]).tar();
    let second = Layout::new().image("app", &[layer("two")]).tar();
    let loaded = setup.load(&first).unwrap();
    assert_eq!(setup.load(&first).unwrap(), loaded);
    assert_eq!(setup.store.list(&setup.conn).unwrap().len(), 1);
    let old = setup.store.resolve(&setup.conn, "app").unwrap();

    let again = setup.load(&second).unwrap();
    assert_eq!(again[0].replaced.as_ref(), Some(&old.manifest));
    let listed = setup.store.list(&setup.conn).unwrap();
    assert_eq!(listed.len(), 2);
    let dangling = listed.iter().find(|image| image.reference.is_none()).unwrap();
    assert_eq!(dangling.id, old.id);
    assert_eq!(setup.store.resolve(&setup.conn, old.id.short()).unwrap().names, []);
}

#[test]
fn images_are_found_by_name_digest_and_id() {
    let setup = Setup::new();
    setup.load(&Layout::new().image("app:v1", &[layer("one")]).tar()).unwrap();
    let image = setup.store.resolve(&setup.conn, "app:v1").unwrap();
    for name in [
        "docker.io/library/app:v1".to_owned(),
        format!("app@{}", image.manifest),
        format!("app:other@{}", image.manifest),
        image.id.to_string(),
        image.id.hex().to_owned(),
        image.id.short().to_owned(),
        image.manifest.to_string(),
        format!("sha256:{}", image.id.short()),
    ] {
        assert_eq!(setup.store.resolve(&setup.conn, &name).unwrap().id, image.id, "{name}");
    }
    for (name, message) in [
        ("app", "No such image: app:latest"),
        ("docker.io/library/app", "No such image: app:latest"),
        ("sha256:00", "No such image: sha256:00"),
        (&format!("other@{}", image.manifest), &format!("No such image: other@{}", image.manifest)),
    ] {
        assert_eq!(setup.store.resolve(&setup.conn, name).unwrap_err().to_string(), message);
    }
    assert!(matches!(setup.store.resolve(&setup.conn, "App"), Err(Error::InvalidReference { .. })));
    assert!(matches!(setup.store.resolve(&setup.conn, ""), Err(Error::InvalidReference { .. })));
}

#[test]
fn the_beginning_of_two_ids_is_ambiguous() {
    let setup = Setup::new();
    let mut first_digits = std::collections::HashSet::new();
    for number in 0..17 {
        let name = format!("app:{number}");
        let loaded = setup.load(&Layout::new().image(&name, &[layer(&name)]).tar()).unwrap();
        let digit = loaded[0].id.hex()[..1].to_owned();
        if !first_digits.insert(digit.clone()) {
            let error = setup.store.resolve(&setup.conn, &digit).unwrap_err();
            assert_eq!(error.to_string(), format!("multiple IDs found with provided prefix: {digit}"));
            return;
        }
    }
    panic!("17 ids begin with different digits");
}

#[test]
fn the_default_image_is_loaded_when_missing() {
    let setup = Setup::new();
    let archive = setup.root.path().join("default-image.tar");
    std::fs::write(&archive, Layout::new().image(crate::DEFAULT_IMAGE, &[layer("one")]).tar()).unwrap();
    setup.store.ensure_default(&setup.conn, &archive).unwrap();
    std::fs::remove_file(&archive).unwrap();
    setup.store.ensure_default(&setup.conn, &archive).unwrap();
    assert_eq!(setup.store.list(&setup.conn).unwrap().len(), 1);
}

#[test]
fn removed_images_leave_what_others_and_containers_use() {
    let setup = Setup::new();
    let (base, one, two) = (layer("base"), layer("one"), layer("two"));
    setup.load(&Layout::new().image("one", &[base.clone(), one]).tar()).unwrap();
    setup.load(&Layout::new().image("two", &[base.clone(), two]).tar()).unwrap();
    let image = |name| setup.store.resolve(&setup.conn, name).unwrap();
    let (first, second) = (image("one"), image("two"));
    assert_eq!(setup.store.collect_garbage(&setup.conn).unwrap(), crate::Collected::default());

    assert!(crate::database::remove(&setup.conn, &first.manifest).unwrap());
    crate::database::keep_layers(&setup.conn, "container", &first.chain_ids).unwrap();
    let collected = setup.store.collect_garbage(&setup.conn).unwrap();
    assert_eq!((collected.blobs.len(), collected.layers.len()), (3, 0));
    assert!(first.layer_dirs[1].exists());
    crate::database::forget_containers(&setup.conn, &std::collections::HashSet::new()).unwrap();
    let collected = setup.store.collect_garbage(&setup.conn).unwrap();
    assert_eq!(collected.layers, [first.chain_ids[1].clone()]);
    assert_eq!(collected.layer_bytes, 3);
    assert!(!first.layer_dirs[1].exists() && second.layer_dirs.iter().all(|path| path.exists()));
    setup.store.verify(&setup.conn, &second).unwrap();
    assert!(!crate::database::remove(&setup.conn, &first.manifest).unwrap());
}

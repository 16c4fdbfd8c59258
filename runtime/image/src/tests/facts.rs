//! What is told about images: history, inspection, usage.

use serde_json::{Value, json};

use super::image::{CONFIG, LAYER, Layout, MANIFEST, Setup, Tar};
use super::registry::Registry;
use crate::{ImageUser, Inspection};

fn layer(name: &str) -> Vec<u8> {
    Tar::new().directory("d/", 0o750).file(&format!("d/{name}"), name).end()
}

/// Loads an image with a history of three steps for two layers.
fn with_history(setup: &Setup, steps: &Value) {
    let layers = [layer("one"), layer("three")];
    let mut layout = Layout::new();
    let mut config = Layout::config(&layers, "amd64");
    config["history"] = steps.clone();
    config["author"] = "somebody".into();
    let config = layout.document(CONFIG, &config);
    let blobs: Vec<Value> = layers.iter().map(|layer| layout.blob(LAYER, layer)).collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": blobs });
    let manifest = layout.document(MANIFEST, &manifest);
    layout.list("app:v1", manifest);
    setup.load(&layout.tar()).unwrap();
}

#[test]
fn history_tells_steps_with_the_sizes_of_their_layers() {
    let setup = Setup::new();
    with_history(
        &setup,
        &json!([
            { "created": "2024-01-01T00:00:00Z", "created_by": "ADD one" },
            { "created": "2024-01-02T00:00:00Z", "created_by": "ENV A=b", "empty_layer": true, "comment": "c" },
            { "created_by": "ADD three" },
        ]),
    );
    let image = setup.store.resolve(&setup.conn, "app:v1").unwrap();
    let steps = setup.store.history(&setup.conn, &image).unwrap();
    let facts: Vec<_> =
        steps.iter().map(|step| (step.created_by.as_str(), step.size, step.created)).collect();
    assert_eq!(
        facts,
        [("ADD three", 5, None), ("ENV A=b", 0, Some(1_704_153_600)), ("ADD one", 3, Some(1_704_067_200))]
    );
    assert_eq!((&steps[0].id, &steps[0].tags), (&Some(image.id), &vec!["app:v1".to_owned()]));
    assert!(steps[1].id.is_none() && steps[1].tags.is_empty());
    assert_eq!(steps[1].comment, "c");
}

#[test]
fn layers_without_history_are_steps_too() {
    let setup = Setup::new();
    with_history(&setup, &json!([{ "created_by": "ADD one" }]));
    let image = setup.store.resolve(&setup.conn, "app:v1").unwrap();
    let steps = setup.store.history(&setup.conn, &image).unwrap();
    assert_eq!(steps.iter().map(|step| step.size).collect::<Vec<_>>(), [5, 3]);
    assert_eq!(steps[0].created_by, "");
}

#[test]
fn inspection_has_dockers_members() {
    let setup = Setup::new();
    with_history(&setup, &json!([{ "comment": "the last word" }]));
    let image = setup.store.resolve(&setup.conn, "app:v1").unwrap();
    let found: Inspection = setup.store.inspect(&setup.conn, &image).unwrap();
    let value = serde_json::to_value(&found).unwrap();
    assert_eq!(value["Id"], image.id.to_string());
    assert_eq!(value["RepoTags"], json!(["app:v1"]));
    assert_eq!(value["RepoDigests"], json!([]));
    assert_eq!(value["Created"], "2024-05-06T07:08:09Z");
    assert_eq!((&value["Author"], &value["Comment"]), (&json!("somebody"), &json!("the last word")));
    assert_eq!((&value["Architecture"], &value["Os"]), (&json!("amd64"), &json!("linux")));
    assert_eq!(value["Config"]["Cmd"], json!(["sh"]));
    assert_eq!(value["RootFS"]["Type"], "layers");
    assert_eq!(value["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert_eq!(value["GraphDriver"]["Data"]["UpperDir"], image.layer_dirs[1].display().to_string());
    assert_eq!(value["GraphDriver"]["Data"]["LowerDir"], image.layer_dirs[0].display().to_string());
    assert_eq!(value["Descriptor"]["digest"], image.manifest.to_string());
    assert_eq!(value["Descriptor"]["mediaType"], MANIFEST);
    assert!(value["Metadata"]["LastTagTime"].as_str().unwrap().starts_with("20"));
    let text = serde_json::to_string(&found).unwrap();
    assert!(
        text.find("\"Id\"") < text.find("\"RepoTags\"") && text.find("\"Size\"") < text.find("\"RootFS\"")
    );
    assert!(!text.contains("Variant"));

    let registry = Registry::with(&[layer("one")]);
    let pulled = setup.pull(&registry, "host:5000/pulled").unwrap();
    let image = setup.store.resolve(&setup.conn, "host:5000/pulled").unwrap();
    let digests = setup.store.inspect(&setup.conn, &image).unwrap().repo_digests;
    assert_eq!(digests, [format!("host:5000/pulled@{}", pulled.digest)]);
}

#[test]
fn usage_counts_each_layer_once() {
    let setup = Setup::new();
    let load = |name: &str, layers: &[&str]| {
        let layers: Vec<_> = layers.iter().map(|name| layer(name)).collect();
        setup.load(&Layout::new().image(name, &layers).tar()).unwrap();
        setup.store.resolve(&setup.conn, name).unwrap()
    };
    let used = load("used", &["shared", "one"]);
    load("unused", &["shared", "three"]);
    let users: Vec<ImageUser> = (0..2)
        .map(|number| ImageUser { container: number.to_string(), running: false, image: used.id.clone() })
        .collect();
    let usage = setup.store.usage(&setup.conn, &users).unwrap();
    assert_eq!((usage.images.len(), usage.active), (2, 1));
    assert_eq!((usage.size, usage.reclaimable, usage.leftovers), (6 + 3 + 5, 5, 0));
    let image = usage.images.iter().find(|image| image.id == used.id).unwrap();
    assert_eq!((image.size, image.shared, image.unique, image.containers), (9, 6, 3, 2));
    let blobs: u64 =
        setup.store.blob_files().unwrap().iter().map(|(path, _)| path.metadata().unwrap().len()).sum();
    assert_eq!(usage.blobs, blobs);
    std::fs::write(setup.store.content.partial_path(&used.id), "part").unwrap();
    assert_eq!(setup.store.usage(&setup.conn, &[]).unwrap().leftovers, 4);
}

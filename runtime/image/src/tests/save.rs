//! `save`: archives that `load` takes back, the same each time.

use std::io::Read;

use serde_json::Value;

use super::image::{Layout, Setup, Tar};
use super::registry::Registry;
use crate::{Digest, Error, SaveFormat};

fn layer(name: &str) -> Vec<u8> {
    Tar::new().directory("d/", 0o750).file(&format!("d/{name}"), name).end()
}

impl Setup {
    fn save(&self, names: &[&str], format: SaveFormat) -> Result<Vec<u8>, Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut archive = Vec::new();
        self.store.save(&self.conn, &names, format, &mut archive).map(|()| archive)
    }
}

/// Path and content of all members.
fn members(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (0, 0));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    entries.collect()
}

fn json(members: &[(String, Vec<u8>)], path: &str) -> Value {
    serde_json::from_slice(&members.iter().find(|(name, _)| name == path).unwrap().1).unwrap()
}

fn filled() -> Setup {
    let setup = Setup::new();
    let registry = Registry::with(&[layer("base"), layer("one")]);
    registry.add("v2", &[layer("base"), layer("two")]);
    setup.pull(&registry, "host:5000/app").unwrap();
    setup.pull(&registry, "host:5000/app:v2").unwrap();
    setup.load(&Layout::new().image("loaded", &[layer("base")]).tar()).unwrap();
    setup
}

#[test]
fn a_saved_archive_is_loaded_with_its_names_and_digests() {
    let setup = filled();
    for (format, names) in [(SaveFormat::Oci, 3), (SaveFormat::Docker, 3)] {
        let archive = setup.save(&["host:5000/app", "loaded:latest"], format).unwrap();
        let other = Setup::new();
        let loaded = other.load(&archive).unwrap();
        assert_eq!(loaded.len(), names, "{format:?}");
        for name in ["host:5000/app", "host:5000/app:v2", "loaded"] {
            let before = setup.store.resolve(&setup.conn, name).unwrap();
            let after = other.store.resolve(&other.conn, name).unwrap();
            assert_eq!(before.id, after.id);
            assert_eq!(before.chain_ids, after.chain_ids);
            if format == SaveFormat::Oci {
                assert_eq!(before.manifest, after.manifest, "the manifest is the same, byte for byte");
            }
            other.store.verify(&other.conn, &after).unwrap();
        }
        assert_eq!(archive, setup.save(&["host:5000/app", "loaded:latest"], format).unwrap());
    }
}

#[test]
fn an_oci_archive_is_a_docker_archive_at_once() {
    let setup = filled();
    let archive = setup.save(&["host:5000/app:v2"], SaveFormat::Oci).unwrap();
    let members = members(&archive);
    let paths: Vec<&str> = members.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths[..2], ["blobs/", "blobs/sha256/"]);
    assert_eq!(paths[6..], ["index.json", "manifest.json", "oci-layout"]);
    for (path, content) in &members[2..6] {
        assert_eq!(*path, format!("blobs/sha256/{}", Digest::sha256(content).hex()));
    }
    let image = setup.store.resolve(&setup.conn, "host:5000/app:v2").unwrap();
    let descriptor = &json(&members, "index.json")["manifests"][0];
    assert_eq!(descriptor["digest"], image.manifest.to_string());
    assert_eq!(descriptor["annotations"]["io.containerd.image.name"], "host:5000/app:v2");
    assert_eq!(descriptor["annotations"]["org.opencontainers.image.ref.name"], "v2");
    assert_eq!(descriptor["platform"]["architecture"], "amd64");
    let entry = &json(&members, "manifest.json")[0];
    assert_eq!(entry["RepoTags"], serde_json::json!(["host:5000/app:v2"]));
    assert_eq!(entry["Config"], format!("blobs/sha256/{}", image.id.hex()));
    assert_eq!(entry["Layers"].as_array().unwrap().len(), 2);
}

#[test]
fn a_docker_archive_has_plain_layers() {
    let setup = filled();
    let members = members(&setup.save(&["host:5000/app:latest"], SaveFormat::Docker).unwrap());
    let entry = &json(&members, "manifest.json")[0];
    let expected = [layer("base"), layer("one")];
    for (path, expected) in entry["Layers"].as_array().unwrap().iter().zip(expected) {
        assert_eq!(path, &format!("{}/layer.tar", Digest::sha256(&expected).hex()));
        let path = path.as_str().unwrap();
        assert_eq!(members.iter().find(|(name, _)| name == path).unwrap().1, expected);
    }
}

#[test]
fn names_and_ids() {
    let setup = filled();
    let image = setup.store.resolve(&setup.conn, "loaded").unwrap();
    let by_id = members(&setup.save(&[image.id.short()], SaveFormat::Oci).unwrap());
    assert_eq!(json(&by_id, "manifest.json")[0]["RepoTags"], Value::Null);
    assert!(json(&by_id, "index.json")["manifests"][0].get("annotations").is_none());
    let tags = |names: &[&str]| {
        let members = members(&setup.save(names, SaveFormat::Oci).unwrap());
        let manifest = json(&members, "manifest.json");
        manifest.as_array().unwrap().iter().map(|entry| entry["RepoTags"].clone()).collect::<Vec<_>>()
    };
    let both = serde_json::json!([["host:5000/app:latest"], ["host:5000/app:v2"]]);
    assert_eq!(Value::from(tags(&["host:5000/app"])), both);
    assert_eq!(tags(&["host:5000/app:v2", "host:5000/app:v2"]).len(), 1);
    assert_eq!(setup.save(&["none"], SaveFormat::Oci).unwrap_err().to_string(), "No such image: none:latest");
}

#[test]
fn damage_ends_the_archive() {
    let setup = filled();
    let image = setup.store.resolve(&setup.conn, "loaded").unwrap();
    let blob = &crate::database::layer_blobs(&setup.conn, &image.manifest).unwrap()[0];
    let path = setup.store.content.path(blob);
    let mut content = std::fs::read(&path).unwrap();
    content[600] ^= 1;
    std::fs::write(&path, content).unwrap();
    let error = setup.save(&["loaded"], SaveFormat::Oci).unwrap_err().to_string();
    assert!(error.contains("is corrupt"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = setup.save(&["loaded"], SaveFormat::Docker).unwrap_err().to_string();
    assert!(error.contains("is missing"), "{error}");
}

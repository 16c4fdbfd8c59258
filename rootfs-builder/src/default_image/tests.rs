use std::collections::BTreeMap;
use std::io::Read;

use super::*;

fn sample() -> Busybox {
    Busybox { applets: ["[", "busybox", "env", "sh"].map(String::from).into(), version: "1.35.0".into() }
}

fn entries(archive: &[u8]) -> BTreeMap<String, (tar::Header, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        assert!(found.insert(name, (entry.header().clone(), data)).is_none(), "an entry twice");
    }
    found
}

fn blob<'a>(archive: &'a BTreeMap<String, (tar::Header, Vec<u8>)>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap();
    let (_, data) = &archive[&format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap())];
    assert_eq!(super::digest(data), digest);
    assert_eq!(data.len() as u64, descriptor["size"].as_u64().unwrap());
    data
}

#[test]
fn same_busybox_same_bytes() {
    let first = archive(b"program", &sample(), 7, Vec::new()).unwrap();
    assert_eq!(first, archive(b"program", &sample(), 7, Vec::new()).unwrap());
    assert_ne!(first, archive(b"program2", &sample(), 7, Vec::new()).unwrap());
}

#[test]
fn digests_and_sizes_hold_from_the_index_down() {
    let archive = entries(&archive(b"program", &sample(), 0, Vec::new()).unwrap());
    let index: Value = serde_json::from_slice(&archive["index.json"].1).unwrap();
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], NAME);
    let manifest: Value = serde_json::from_slice(blob(&archive, &index["manifests"][0])).unwrap();
    let config: Value = serde_json::from_slice(blob(&archive, &manifest["config"])).unwrap();
    assert_eq!(config["config"]["Cmd"], json!(["sh"]));
    assert_eq!(config["created"], "1970-01-01T00:00:00Z");
    assert_eq!(config["rootfs"]["diff_ids"], json!([manifest["layers"][0]["digest"]]));

    let layer = entries(blob(&archive, &manifest["layers"][0]));
    assert_eq!(layer["bin/busybox"].1, b"program");
    assert_eq!(layer["bin/sh"].0.entry_type(), tar::EntryType::Link);
    assert_eq!(layer["bin/["].0.link_name().unwrap().unwrap().to_str(), Some("bin/busybox"));
    assert_eq!(layer["tmp/"].0.mode().unwrap(), 0o1777);
    assert_eq!(layer["root/"].0.mode().unwrap(), 0o700);
    assert!(layer["etc/passwd"].1.starts_with(b"root:x:0:0:"));
    for (header, _) in layer.values() {
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
    }
}

#[test]
fn dates_are_those_of_date() {
    // `date -u -d @N +%FT%TZ`
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(951_826_154), "2000-02-29T12:09:14Z");
    assert_eq!(rfc3339(1_735_689_599), "2024-12-31T23:59:59Z");
    assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
}

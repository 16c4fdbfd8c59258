//! Makes images for tests: tars entry by entry, layouts and archives around them.

use std::io::Write;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{Digest, Error, Input, LayerError, LoadOptions, Loaded, SCHEMA, SCHEMA_REPOSITORIES, Store};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A store and its database in a directory of their own.
pub(super) struct Setup {
    pub(super) root: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) conn: Connection,
}

impl Setup {
    pub(super) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    pub(super) fn at(root: tempfile::TempDir) -> Self {
        let store = Store::open(root.path()).unwrap();
        let conn = Connection::open(root.path().join("state.db")).unwrap();
        conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
        conn.execute_batch(SCHEMA).unwrap();
        conn.execute_batch(SCHEMA_REPOSITORIES).unwrap();
        Self { root, store, conn }
    }

    pub(super) fn load(&self, archive: &[u8]) -> Result<Vec<Loaded>, Error> {
        self.store.load(&self.conn, Input::Reader(&mut &archive[..]), &LoadOptions::default(), &mut |_| {})
    }

    /// Loads an image of the given layers, bottom first, and returns the directory of the last one.
    pub(super) fn unpack(&self, layers: &[Vec<u8>]) -> Result<std::path::PathBuf, Error> {
        let loaded = self.load(&Layout::new().image("test:latest", layers).tar())?;
        let image = self.store.resolve(&self.conn, &loaded[0].id.to_string())?;
        Ok(image.layer_dirs.last().unwrap().clone())
    }

    /// The reason why a layer is refused.
    pub(super) fn refusal(&self, layers: &[Vec<u8>]) -> String {
        match self.unpack(layers) {
            Err(Error::Layer { source, .. }) => {
                assert!(!matches!(source, LayerError::Cancelled), "the cause got lost");
                source.to_string()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Nothing but what an empty store has.
    pub(super) fn assert_empty(&self) {
        for directory in ["blobs/sha256", "blobs/tmp", "layers/tmp"] {
            let names: Vec<_> = list(&self.root.path().join(directory));
            assert!(names.is_empty(), "{directory}: {names:?}");
        }
        assert_eq!(list(&self.root.path().join("layers")), ["empty", "tmp"]);
        assert!(self.store.list(&self.conn).unwrap().is_empty());
    }
}

pub(super) fn list(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A tar made of entries that need not make sense.
#[derive(Default)]
pub(super) struct Tar(Vec<u8>);

impl Tar {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn entry(
        mut self,
        kind: u8,
        path: &str,
        edit: impl FnOnce(&mut tar::Header),
        data: &[u8],
    ) -> Self {
        if path.len() > 100 {
            let no_edit: fn(&mut tar::Header) = |_| {};
            self = self.entry(b'L', "././@LongLink", no_edit, &[path.as_bytes(), b"\0"].concat());
        }
        let mut header = tar::Header::new_gnu();
        let name = &path.as_bytes()[..path.len().min(100)];
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        edit(&mut header);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, path: &str, data: &str) -> Self {
        self.entry(b'0', path, |_| {}, data.as_bytes())
    }

    pub(super) fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(b'5', path, |header| header.set_mode(mode), b"")
    }

    pub(super) fn link(self, kind: u8, path: &str, target: &str) -> Self {
        let edit = |header: &mut tar::Header| header.set_link_name_literal(target).unwrap();
        self.entry(kind, path, edit, b"")
    }

    pub(super) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(b'2', path, target)
    }

    pub(super) fn hard_link(self, path: &str, target: &str) -> Self {
        self.link(b'1', path, target)
    }

    pub(super) fn device(self, kind: u8, path: &str, major: u32, minor: u32) -> Self {
        let edit = |header: &mut tar::Header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        };
        self.entry(kind, path, edit, b"")
    }

    /// An extended header for the next entry.
    pub(super) fn pax(self, key: &str, value: &[u8]) -> Self {
        let payload = key.len() + value.len() + 3;
        let length = (payload..payload + 9).find(|n| n.to_string().len() + payload == *n).unwrap();
        let record = [format!("{length} {key}=").as_bytes(), value, b"\n"].concat();
        self.entry(b'x', "pax", |_| {}, &record)
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// An OCI layout in memory.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) manifests: Vec<Value>,
}

impl Layout {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a blob and returns its descriptor.
    pub(super) fn blob(&mut self, media_type: &str, data: &[u8]) -> Value {
        let digest = Digest::sha256(data);
        self.files.push((format!("blobs/sha256/{}", digest.hex()), data.to_vec()));
        json!({ "mediaType": media_type, "digest": digest, "size": data.len() })
    }

    pub(super) fn document(&mut self, media_type: &str, value: &Value) -> Value {
        self.blob(media_type, value.to_string().as_bytes())
    }

    /// The config of an image with these (plain) layers.
    pub(super) fn config(layers: &[Vec<u8>], architecture: &str) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
        json!({
            "created": "2024-05-06T07:08:09Z",
            "architecture": architecture,
            "os": "linux",
            "config": { "Cmd": ["sh"], "Env": ["A=b"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        })
    }

    pub(super) fn manifest(&mut self, layers: &[Vec<u8>], architecture: &str) -> Value {
        let config = self.document(CONFIG, &Self::config(layers, architecture));
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(LAYER, layer)).collect();
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        self.document(MANIFEST, &manifest)
    }

    pub(super) fn list(&mut self, name: &str, mut descriptor: Value) {
        if !name.is_empty() {
            descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        }
        self.manifests.push(descriptor);
    }

    /// Adds an image of uncompressed layers for this machine.
    pub(super) fn image(mut self, name: &str, layers: &[Vec<u8>]) -> Self {
        let manifest = self.manifest(layers, "amd64");
        self.list(name, manifest);
        self
    }

    pub(super) fn all_files(mut self) -> Vec<(String, Vec<u8>)> {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests });
        self.files.push(("index.json".into(), index.to_string().into_bytes()));
        self.files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        self.files
    }

    pub(super) fn tar(self) -> Vec<u8> {
        archive(&self.all_files())
    }
}

pub(super) fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let tar = files.iter().fold(Tar::new(), |tar, (path, data)| tar.entry(b'0', path, |_| {}, data));
    tar.end()
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

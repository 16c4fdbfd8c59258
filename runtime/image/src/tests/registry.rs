//! Registries in memory: an honest one that writes down what it is asked for, and a hook to make it misbehave.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::image::{CONFIG, INDEX, LAYER, Layout, MANIFEST, Setup, gzip};
use crate::{
    Digest, Error, ManifestName, Origin, PullEvent, PullOptions, Pulled, Reference, RemoteBlob,
    RemoteDocument, RemoteError, RemoteErrorKind, Target,
};

type Hook = Box<dyn Fn(&Ask<'_>) -> Option<Result<RemoteBlob, RemoteError>> + Send + Sync>;

/// A request for a blob.
pub(super) struct Ask<'a> {
    pub(super) offset: u64,
    pub(super) content: &'a [u8],
    /// How many requests for this blob came before.
    pub(super) before: usize,
}

#[derive(Default)]
pub(super) struct Registry {
    /// By tag and by digest.
    pub(super) manifests: Mutex<HashMap<String, (String, Vec<u8>)>>,
    pub(super) blobs: Mutex<HashMap<Digest, Vec<u8>>>,
    pub(super) hook: Option<Hook>,
    /// Blobs that were asked for, with the offset, and how many bytes were taken.
    pub(super) log: Mutex<Vec<(Digest, u64)>>,
    pub(super) sent: std::sync::atomic::AtomicU64,
    /// Blobs that other repositories have.
    pub(super) elsewhere: HashMap<String, Vec<Digest>>,
    pub(super) uploads: Mutex<Vec<Digest>>,
}

pub(super) fn error(kind: RemoteErrorKind) -> RemoteError {
    RemoteError { kind, message: format!("the registry answers {kind:?}") }
}

impl Registry {
    /// A registry with one image of these (plain) layers, compressed with gzip, under the tag `latest`.
    pub(super) fn with(layers: &[Vec<u8>]) -> Self {
        let registry = Self::default();
        registry.add("latest", layers);
        registry
    }

    /// Adds an image and returns its manifest's digest.
    pub(super) fn add(&self, tag: &str, layers: &[Vec<u8>]) -> Digest {
        let config = self.blob(CONFIG, Layout::config(layers, "amd64").to_string().as_bytes());
        let layers: Vec<Value> =
            layers.iter().map(|layer| self.blob(&format!("{LAYER}+gzip"), &gzip(layer))).collect();
        self.manifest(
            tag,
            MANIFEST,
            &json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers }),
        )
    }

    /// Adds an index of descriptors.
    pub(super) fn index(&self, tag: &str, manifests: &[Value]) -> Digest {
        self.manifest(tag, INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }))
    }

    pub(super) fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = Digest::sha256(content);
        self.blobs.lock().unwrap().insert(digest.clone(), content.to_vec());
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    }

    pub(super) fn manifest(&self, tag: &str, media_type: &str, manifest: &Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::sha256(&bytes);
        let mut manifests = self.manifests.lock().unwrap();
        for name in [tag.to_owned(), digest.to_string()] {
            manifests.insert(name, (media_type.to_owned(), bytes.clone()));
        }
        digest
    }

    /// The descriptor of a manifest.
    pub(super) fn descriptor(&self, digest: &Digest, architecture: &str) -> Value {
        let (media_type, bytes) = self.manifests.lock().unwrap()[&digest.to_string()].clone();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len(),
                "platform": { "os": "linux", "architecture": architecture } })
    }

    /// The manifest under a tag, changed.
    pub(super) fn edit(&self, tag: &str, edit: impl FnOnce(&mut Value)) {
        let (media_type, bytes) = self.manifests.lock().unwrap()[tag].clone();
        let mut manifest = serde_json::from_slice(&bytes).unwrap();
        edit(&mut manifest);
        self.manifest(tag, &media_type, &manifest);
    }

    pub(super) fn misbehaving(
        mut self,
        hook: impl Fn(&Ask<'_>) -> Option<Result<RemoteBlob, RemoteError>> + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// The digests of the layers of `latest`.
    pub(super) fn layers(&self) -> Vec<Digest> {
        let (_, bytes) = self.manifests.lock().unwrap()["latest"].clone();
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().parse().unwrap()).collect()
    }

    pub(super) fn take_log(&self) -> Vec<(Digest, u64)> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

/// `content` from `offset` on.
pub(super) fn serve(content: Vec<u8>, offset: u64) -> RemoteBlob {
    let mut content = Cursor::new(content);
    content.set_position(offset);
    RemoteBlob { offset, content: Box::new(content) }
}

impl Origin for Registry {
    fn manifest(&self, name: ManifestName<'_>, _limit: u64) -> Result<RemoteDocument, RemoteError> {
        let manifests = self.manifests.lock().unwrap();
        let (media_type, bytes) =
            manifests.get(&name.to_string()).ok_or_else(|| error(RemoteErrorKind::NotFound))?;
        Ok(RemoteDocument { bytes: bytes.clone(), media_type: media_type.clone() })
    }

    fn blob(&self, digest: &Digest, _size: u64, offset: u64) -> Result<RemoteBlob, RemoteError> {
        let before = {
            let mut log = self.log.lock().unwrap();
            log.push((digest.clone(), offset));
            log.iter().filter(|(asked, _)| asked == digest).count() - 1
        };
        let blobs = self.blobs.lock().unwrap();
        let content = blobs.get(digest).ok_or_else(|| error(RemoteErrorKind::NotFound))?;
        let ask = Ask { offset, content, before };
        if let Some(answer) = self.hook.as_ref().and_then(|hook| hook(&ask)) {
            return answer;
        }
        self.sent.fetch_add(content.len() as u64 - offset, std::sync::atomic::Ordering::Relaxed);
        Ok(serve(content.clone(), offset))
    }
}

impl Target for Registry {
    fn has_blob(&self, digest: &Digest) -> Result<bool, RemoteError> {
        Ok(self.blobs.lock().unwrap().contains_key(digest))
    }

    fn mount_blob(&self, digest: &Digest, from: &str) -> Result<bool, RemoteError> {
        Ok(self.elsewhere.get(from).is_some_and(|blobs| blobs.contains(digest)))
    }

    fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        content: &dyn Fn() -> std::io::Result<Box<dyn Read + Send>>,
    ) -> Result<(), RemoteError> {
        self.uploads.lock().unwrap().push(digest.clone());
        let mut bytes = Vec::new();
        content()
            .and_then(|mut content| content.read_to_end(&mut bytes))
            .map_err(|error| RemoteError { kind: RemoteErrorKind::Refused, message: error.to_string() })?;
        assert_eq!(bytes.len() as u64, size);
        if Digest::sha256(&bytes) != *digest {
            return Err(error(RemoteErrorKind::Refused));
        }
        self.blobs.lock().unwrap().insert(digest.clone(), bytes);
        Ok(())
    }

    fn put_manifest(
        &self,
        name: ManifestName<'_>,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RemoteError> {
        let mut manifests = self.manifests.lock().unwrap();
        for name in [name.to_string(), Digest::sha256(bytes).to_string()] {
            manifests.insert(name, (media_type.to_owned(), bytes.to_vec()));
        }
        Ok(())
    }
}

impl Setup {
    pub(super) fn pull(&self, registry: &dyn Origin, name: &str) -> Result<Pulled, Error> {
        self.pull_with(registry, name, &PullOptions::default()).0
    }

    /// Pulls and returns what was shown besides.
    pub(super) fn pull_with(
        &self,
        registry: &dyn Origin,
        name: &str,
        options: &PullOptions,
    ) -> (Result<Pulled, Error>, Vec<PullEvent>) {
        let reference: Reference = name.parse().unwrap();
        let mut events = Vec::new();
        let pulled =
            self.store.pull(&self.conn, registry, &reference, options, &mut |event| events.push(event));
        (pulled, events)
    }
}

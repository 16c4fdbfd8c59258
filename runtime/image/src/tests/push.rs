//! `push`: what is sent, what is not, and that it stays what it was.

use serde_json::Value;

use super::image::{Layout, Setup, Tar};
use super::registry::{Registry, error};
use crate::{
    Digest, Error, ManifestName, Origin, PushEvent, PushOptions, PushState, Pushed, Reference, RemoteError,
    RemoteErrorKind, Target,
};

fn layer(name: &str) -> Vec<u8> {
    Tar::new().directory("d/", 0o750).file(&format!("d/{name}"), name).end()
}

impl Setup {
    fn push(&self, registry: &dyn Target, name: &str) -> (Result<Pushed, Error>, Vec<PushEvent>) {
        let reference: Reference = name.parse().unwrap();
        let mut events = Vec::new();
        let mut progress = |event| events.push(event);
        let options = PushOptions::default();
        let pushed = self.store.push(&self.conn, registry, &reference, &options, &mut progress);
        (pushed, events)
    }
}

fn last_states(events: &[PushEvent]) -> Vec<String> {
    let mut layers: Vec<&Digest> = Vec::new();
    for event in events {
        if !layers.contains(&&event.layer) {
            layers.push(&event.layer);
        }
    }
    let last =
        |layer: &Digest| events.iter().rev().find(|event| event.layer == *layer).unwrap().state.to_string();
    layers.into_iter().map(last).collect()
}

#[test]
fn what_was_pulled_is_pushed_byte_for_byte() {
    let setup = Setup::new();
    let from = Registry::with(&[layer("one"), layer("two")]);
    // Members and spaces that no tool of ours would write.
    let (media_type, bytes) = from.manifests.lock().unwrap()["latest"].clone();
    let mut odd: Value = serde_json::from_slice(&bytes).unwrap();
    odd["annotations"] = serde_json::json!({ "z": "1", "a": "2" });
    let odd = serde_json::to_vec_pretty(&odd).unwrap();
    from.manifests.lock().unwrap().insert("latest".into(), (media_type, odd.clone()));
    let pulled = setup.pull(&from, "app").unwrap();
    let image = setup.store.resolve(&setup.conn, "app").unwrap();
    setup.store.tag(&setup.conn, &image, &"host:5000/copy:v1".parse().unwrap()).unwrap();

    let to = Registry::default();
    let (pushed, events) = setup.push(&to, "host:5000/copy:v1");
    assert_eq!(pushed.unwrap(), Pushed { digest: pulled.digest.clone(), size: odd.len() as u64 });
    assert_eq!(Origin::manifest(&to, ManifestName::Tag("v1"), 1 << 20).unwrap().bytes, odd);
    assert_eq!(last_states(&events), ["Pushed", "Pushed"]);
    assert!(
        events
            .iter()
            .any(|event| matches!(event.state, PushState::Pushing { current, total } if current == total))
    );
    let by_digest = format!("host:5000/copy@{}", pulled.digest);
    assert_eq!(setup.store.resolve(&setup.conn, &by_digest).unwrap().id, image.id);

    // It can be pulled from there.
    Setup::new().pull(&to, "copy:v1").unwrap();
    let (again, events) = setup.push(&to, "host:5000/copy:v1");
    again.unwrap();
    assert_eq!(last_states(&events), ["Layer already exists", "Layer already exists"]);
    assert_eq!(to.uploads.lock().unwrap().len(), 3);
}

#[test]
fn blobs_of_other_repositories_are_mounted() {
    let setup = Setup::new();
    let from = Registry::with(&[layer("one")]);
    setup.pull(&from, "host:5000/base/app").unwrap();
    let image = setup.store.resolve(&setup.conn, "host:5000/base/app").unwrap();
    setup.store.tag(&setup.conn, &image, &"host:5000/copy".parse().unwrap()).unwrap();
    let to = Registry {
        elsewhere: std::collections::HashMap::from([("base/app".to_owned(), from.layers())]),
        ..Registry::default()
    };
    let (pushed, events) = setup.push(&to, "host:5000/copy");
    pushed.unwrap();
    assert_eq!(last_states(&events), ["Mounted from base/app"]);
    assert_eq!(*to.uploads.lock().unwrap(), [image.id]);
}

#[test]
fn an_image_without_a_registry_can_be_pushed_too() {
    let setup = Setup::new();
    let layers = [layer("one"), layer("one")];
    setup.load(&Layout::new().image("host:5000/app", &layers).tar()).unwrap();
    let to = Registry::default();
    let (pushed, events) = setup.push(&to, "host:5000/app");
    pushed.unwrap();
    assert_eq!(last_states(&events), ["Pushed"], "the same layer twice is one upload");
    Setup::new().pull(&to, "app").unwrap();
}

/// Takes uploads only at the third try, or never.
struct Flaky {
    inner: Registry,
    tries: std::sync::atomic::AtomicU32,
    kind: RemoteErrorKind,
    until: u32,
}

impl Target for Flaky {
    fn has_blob(&self, digest: &Digest) -> Result<bool, RemoteError> {
        self.inner.has_blob(digest)
    }

    fn mount_blob(&self, digest: &Digest, from: &str) -> Result<bool, RemoteError> {
        self.inner.mount_blob(digest, from)
    }

    fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        content: &dyn Fn() -> std::io::Result<Box<dyn std::io::Read + Send>>,
    ) -> Result<(), RemoteError> {
        if self.tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < self.until {
            let _ = content().unwrap().read(&mut [0; 100]);
            return Err(error(self.kind));
        }
        self.inner.put_blob(digest, size, content)
    }

    fn put_manifest(
        &self,
        name: ManifestName<'_>,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RemoteError> {
        self.inner.put_manifest(name, media_type, bytes)
    }
}

#[test]
fn broken_uploads_are_tried_again_and_refusals_are_not() {
    let setup = Setup::new();
    setup.load(&Layout::new().image("app", &[layer("one")]).tar()).unwrap();
    let flaky = |kind, until| Flaky { inner: Registry::default(), tries: 0.into(), kind, until };
    let (pushed, events) = setup.push(&flaky(RemoteErrorKind::Transient, 2), "app");
    pushed.unwrap();
    assert_eq!(events.iter().filter(|event| matches!(event.state, PushState::Retrying { .. })).count(), 2);
    let denied = flaky(RemoteErrorKind::Denied, 9);
    let (pushed, _) = setup.push(&denied, "app");
    assert_eq!(pushed.unwrap_err().to_string(), "the registry answers Denied");
    assert_eq!(denied.tries.into_inner(), 1);
}

#[test]
fn what_cannot_be_pushed() {
    let setup = Setup::new();
    setup.load(&Layout::new().image("app", &[layer("one")]).tar()).unwrap();
    let to = Registry::default();
    let message = |name: &str| setup.push(&to, name).0.unwrap_err().to_string();
    assert_eq!(message("other:v1"), "An image does not exist locally with the tag: other");
    let image = setup.store.resolve(&setup.conn, "app").unwrap();
    assert!(message(&format!("app@{}", image.manifest)).starts_with("An image does not exist"));
    let blob = &crate::database::layer_blobs(&setup.conn, &image.manifest).unwrap()[0];
    let path = setup.store.content.path(blob);
    let content = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![0; content.len()]).unwrap();
    assert!(message("app").contains("is corrupt"), "{}", message("app"));
    std::fs::remove_file(path).unwrap();
    assert!(message("app").contains("is missing"), "{}", message("app"));
    assert!(to.manifests.lock().unwrap().is_empty());
}

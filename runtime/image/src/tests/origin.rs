//! Registries that break, lie or attack. Each is survived or refused with the cause, and a refused image leaves nothing.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::image::{Setup, Tar, gzip, list};
use super::registry::{Ask, Registry, error, serve};
use crate::{
    Digest, Error, Limits, ManifestName, Origin, PullOptions, PullState, RemoteBlob, RemoteDocument,
    RemoteError, RemoteErrorKind,
};

/// Bytes that gzip does not shrink, the same in every run.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(step).collect()
}

pub(super) fn layer(name: &str, length: usize) -> Vec<u8> {
    let seed = name.bytes().map(u64::from).sum();
    Tar::new().directory("d/", 0o750).entry(b'0', &format!("d/{name}"), |_| {}, &noise(length, seed)).end()
}

fn honest() -> Registry {
    Registry::with(&[layer("one", 300_000), layer("two", 5_000)])
}

/// `content` from `offset` on, but only `count` bytes of it, and an error or an early end after them.
fn broken(content: &[u8], offset: u64, count: usize, error: bool) -> RemoteBlob {
    let rest = &content[offset as usize..];
    let start = io::Cursor::new(rest[..count.min(rest.len())].to_vec());
    let content: Box<dyn Read + Send> = if error { Box::new(start.chain(Failing)) } else { Box::new(start) };
    RemoteBlob { offset, content }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

fn is_first_layer(ask: &Ask<'_>) -> bool {
    ask.content.len() > 200_000
}

#[test]
fn broken_connections_are_resumed_where_they_broke() {
    for error in [true, false] {
        let registry = honest().misbehaving(move |ask| {
            (ask.before < 4 && is_first_layer(ask))
                .then(|| Ok(broken(ask.content, ask.offset, 50_000, error)))
        });
        let setup = Setup::new();
        let (pulled, events) = setup.pull_with(&registry, "app", &PullOptions::default());
        pulled.unwrap();
        let blob = &registry.layers()[0];
        let offsets: Vec<u64> = registry
            .take_log()
            .iter()
            .filter(|(asked, _)| asked == blob)
            .map(|(_, offset)| *offset)
            .collect();
        assert_eq!(offsets, [0, 50_000, 100_000, 150_000, 200_000]);
        let retries = events.iter().filter(|e| e.state == PullState::Retrying { seconds: 1 }).count();
        assert_eq!(retries, 4);
        let image = setup.store.resolve(&setup.conn, "app").unwrap();
        setup.store.verify(&setup.conn, &image).unwrap();
    }
}

#[test]
fn a_registry_that_sends_no_parts_is_read_from_the_beginning() {
    let registry = honest().misbehaving(|ask| {
        (is_first_layer(ask)).then(|| {
            let count = if ask.before < 2 { 100_000 } else { usize::MAX };
            Ok(broken(ask.content, 0, count, true))
        })
    });
    let setup = Setup::new();
    // The third answer has the whole content, and the error only after it.
    let setup_error = setup.pull(&registry, "app");
    setup_error.unwrap();
}

#[test]
fn a_registry_that_never_gets_on_is_given_up() {
    let setup = Setup::new();
    let blob = honest().layers()[0].clone();
    let registry = honest()
        .misbehaving(|ask| is_first_layer(ask).then(|| Ok(broken(ask.content, ask.offset, 10, true))));
    let failure = setup.pull(&registry, "app").unwrap_err();
    assert!(matches!(failure, Error::Retries { tries: 5, .. }), "{failure}");
    assert_eq!(
        failure.to_string(),
        format!(
            "cannot get layer {} after 5 tries: the download of layer {0} broke off after 50 of {} bytes: \
             connection reset",
            blob.short(),
            registry.blobs.lock().unwrap()[&blob].len()
        )
    );
    assert!(setup.store.list(&setup.conn).unwrap().is_empty());
    // What came is kept, and the next pull asks for the rest only.
    let registry = honest();
    setup.pull(&registry, "app").unwrap();
    assert_eq!(registry.take_log(), [(blob, 50)]);
}

#[test]
fn passing_failures_of_requests_are_tried_again() {
    let registry =
        honest().misbehaving(|ask| (ask.before < 3).then(|| Err(error(RemoteErrorKind::Transient))));
    Setup::new().pull(&registry, "app").unwrap();
    let registry = honest().misbehaving(|_| Some(Err(error(RemoteErrorKind::Denied))));
    let setup = Setup::new();
    assert_eq!(setup.pull(&registry, "app").unwrap_err().to_string(), "the registry answers Denied");
    assert_eq!(registry.take_log().len(), 1, "a refusal is not asked for again");
}

/// The pull fails with a reason, and leaves nothing.
fn refused(reason: &str, registry: &Registry) {
    let setup = Setup::new();
    let found = setup.pull(registry, "app").unwrap_err().to_string();
    assert!(found.contains(reason), "{found:?} instead of {reason:?}");
    setup.assert_empty();
    for directory in ["blobs/partial", "blobs/leases"] {
        assert_eq!(list(&setup.root.path().join(directory)), [""; 0], "{reason}: {directory}");
    }
}

#[test]
fn lies_about_blobs() {
    type Lie = fn(&Ask<'_>) -> RemoteBlob;
    let cases: [(&str, Lie); 6] = [
        ("is corrupt: its content has digest", |ask| {
            let mut content = ask.content.to_vec();
            content[200_000] ^= 1;
            serve(content, ask.offset)
        }),
        ("is corrupt: its content has digest", |ask| serve(gzip(&[0; 9]).repeat(40_000), ask.offset)),
        ("the registry sends more than the", |ask| serve([ask.content, b"x"].concat(), ask.offset)),
        ("the registry sends more than the", |ask| RemoteBlob {
            offset: ask.offset,
            content: Box::new(io::Cursor::new(ask.content.to_vec()).chain(io::repeat(7))),
        }),
        ("from byte 17 on, but was asked for 0", |ask| RemoteBlob {
            offset: 17,
            ..serve(ask.content.to_vec(), 0)
        }),
        ("is corrupt: its content has digest", |_| RemoteBlob {
            offset: 0,
            content: Box::new(io::repeat(7).take(1 << 30)),
        }),
    ];
    for (number, (reason, lie)) in cases.into_iter().enumerate() {
        let registry = honest().misbehaving(move |ask| is_first_layer(ask).then(|| Ok(lie(ask))));
        // The last two are caught by either check, whichever comes first.
        let reason = if matches!(number, 1 | 5) { "" } else { reason };
        refused(reason, &registry);
    }
    // A short answer is a broken connection until it happens too often.
    let short = honest().misbehaving(|ask| {
        is_first_layer(ask).then(|| Ok(serve(ask.content[..1000].to_vec(), ask.offset.min(1000))))
    });
    let failure = Setup::new().pull(&short, "app").unwrap_err().to_string();
    assert!(failure.contains("broke off after 1000 of") && failure.contains("closed"), "{failure}");
}

#[test]
fn a_wrong_part_from_before_is_thrown_away_once() {
    let setup = Setup::new();
    let registry = honest();
    let blob = registry.layers()[0].clone();
    let partial = setup.store.content.partial_path(&blob);
    std::fs::write(&partial, noise(100_000, 99)).unwrap();
    setup.pull(&registry, "app").unwrap();
    let offsets: Vec<u64> =
        registry.take_log().iter().filter(|(asked, _)| *asked == blob).map(|(_, offset)| *offset).collect();
    assert_eq!(offsets, [100_000, 0]);
    let image = setup.store.resolve(&setup.conn, "app").unwrap();
    setup.store.verify(&setup.conn, &image).unwrap();

    // A part that is longer than the blob, and one that is whole.
    let (setup, registry) = (Setup::new(), honest());
    let content = registry.blobs.lock().unwrap()[&blob].clone();
    std::fs::write(setup.store.content.partial_path(&blob), content.repeat(2)).unwrap();
    let second = registry.layers()[1].clone();
    let content = registry.blobs.lock().unwrap()[&second].clone();
    std::fs::write(setup.store.content.partial_path(&second), content).unwrap();
    setup.pull(&registry, "app").unwrap();
    let log = registry.take_log();
    assert!(log.contains(&(blob, 0)) && log.iter().all(|(asked, _)| *asked != second), "{log:?}");
}

#[test]
fn wrong_parts_forever_are_not_fetched_forever() {
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let registry = honest().misbehaving(move |ask| {
        is_first_layer(ask).then(|| {
            count.fetch_add(1, Ordering::Relaxed);
            let wrong = noise(ask.content.len(), 5);
            let half = ask.content.len() / 2;
            Ok(if ask.offset == 0 { broken(&wrong, 0, half, true) } else { serve(wrong, ask.offset) })
        })
    });
    refused("", &registry);
    assert!(asked.load(Ordering::Relaxed) <= 4, "{asked:?}");
}

#[test]
fn bombs_and_hostile_layers() {
    let zeros = Tar::new().entry(b'0', "zeros", |_| {}, &[0u8].repeat(6 << 20)).end();
    let setup = Setup::new();
    let limits = Limits { ratio_floor: 1 << 20, ratio: 20, ..Limits::default() };
    let options = PullOptions { limits, ..PullOptions::default() };
    let failure = setup.pull_with(&Registry::with(&[zeros]), "app", &options).0.unwrap_err().to_string();
    assert!(failure.contains("refused as a bomb"), "{failure}");
    setup.assert_empty();

    refused("has \"..\" in its path", &Registry::with(&[layer("a", 10), Tar::new().file("../x", "").end()]));
    refused("not a valid tar archive", &Registry::with(&[b"no tar at all".repeat(100)]));
    let registry = honest();
    registry.edit("latest", |manifest| {
        let layers = manifest["layers"].as_array_mut().unwrap();
        layers.swap(0, 1);
    });
    refused("but the image's config says", &registry);
    let registry = honest();
    registry.edit("latest", |manifest| manifest["layers"][0]["size"] = 300.into());
    refused("the registry sends more than the 300 bytes", &registry);
    let registry = honest();
    registry.edit("latest", |manifest| manifest["layers"].as_array_mut().unwrap().truncate(1));
    refused("it describes 2 layers, the manifest has 1", &registry);
    let registry = honest();
    registry
        .edit("latest", |manifest| manifest["config"]["digest"] = manifest["layers"][0]["digest"].clone());
    refused("it is the image's config", &registry);
}

#[test]
fn a_refused_layer_ends_the_download_at_once() {
    // The first layer is refused by its first entry; the rest of it and the other one would take for ever.
    struct Slow;
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(std::time::Duration::from_millis(20));
            buffer[0] = 0;
            Ok(1)
        }
    }
    let evil = Tar::new().file("../x", "").entry(b'0', "rest", |_| {}, &noise(300_000, 3)).end();
    let registry = Registry::with(&[evil, layer("two", 200_000)]).misbehaving(|ask| {
        let start = ask.content[ask.offset as usize..][..50_000.min(ask.content.len())].to_vec();
        let content: Box<dyn Read + Send> = Box::new(io::Cursor::new(start).chain(Slow));
        (ask.content.len() > 100_000).then_some(Ok(RemoteBlob { offset: ask.offset, content }))
    });
    let begin = std::time::Instant::now();
    refused("has \"..\" in its path", &registry);
    assert!(begin.elapsed() < std::time::Duration::from_mins(1));
}

/// Gives other manifests than it is asked for.
struct Forger(Registry, fn(RemoteDocument) -> RemoteDocument);

impl Origin for Forger {
    fn manifest(&self, name: ManifestName<'_>, limit: u64) -> Result<RemoteDocument, RemoteError> {
        Origin::manifest(&self.0, name, limit).map(|document| (self.1)(document))
    }

    fn blob(&self, digest: &Digest, size: u64, offset: u64) -> Result<RemoteBlob, RemoteError> {
        Origin::blob(&self.0, digest, size, offset)
    }
}

#[test]
fn lies_about_manifests() {
    let setup = Setup::new();
    let registry = honest();
    let digest = registry.add("other", &[]);
    let forger = Forger(registry, |mut document| {
        document.bytes.push(b' ');
        document
    });
    let failure = setup.pull(&forger, &format!("app@{digest}")).unwrap_err();
    assert!(matches!(failure, Error::DigestMismatch { .. }), "{failure}");
    let forger = Forger(honest(), |document| RemoteDocument {
        media_type: "application/vnd.oci.image.index.v1+json; charset=utf-8".into(),
        ..document
    });
    assert!(setup.pull(&forger, "app").unwrap_err().to_string().contains("calls itself"));
    let forger = Forger(honest(), |document| RemoteDocument {
        media_type: "text/plain; charset=utf-8".into(),
        ..document
    });
    setup.pull(&forger, "app").unwrap();
}

#[test]
fn a_policy_is_asked_before_anything_is_fetched() {
    let registry = honest();
    let digest = registry.add("pinned", &[layer("p", 10)]);
    let policy = format!(
        r#"{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{
            "docker.io/library/app":[{{"type":"pinnedDigests","digests":["{digest}"]}}]}}}}}}"#
    );
    let options = PullOptions { policy: policy.parse().unwrap(), ..PullOptions::default() };
    let setup = Setup::new();
    let failure = setup.pull_with(&registry, "app", &options).0.unwrap_err().to_string();
    assert!(failure.starts_with("image app:latest is refused by the policy: its digest"), "{failure}");
    assert_eq!(registry.take_log(), []);
    setup.pull_with(&registry, "app:pinned", &options).0.unwrap();
    assert!(setup.pull_with(&registry, "other:pinned", &options).0.is_err());
}

//! Pulling from honest registries.

use sandbox_image::{Digest, ManifestName, Origin, RemoteErrorKind};

use super::server::{Seen, Server, Stream, respond};
use super::{BLOB, Fixture, MANIFEST, MANIFEST_TYPE, blob_digest, get_blob, read};

const ERROR: &[u8] = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;

fn registry(seen: &Seen, stream: &mut dyn Stream) {
    let digest = Digest::sha256(MANIFEST).to_string();
    let manifests = ["/v2/app/manifests/v1".to_owned(), format!("/v2/app/manifests/{digest}")];
    if manifests.contains(&seen.path) {
        let length = MANIFEST.len().to_string();
        let headers = [
            ("Content-Type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
            ("Docker-Content-Digest", &digest),
            ("Content-Length", &length),
        ];
        return respond(stream, 200, &headers, if seen.method == "HEAD" { b"" } else { MANIFEST });
    }
    if seen.path == format!("/v2/app/blobs/{}", blob_digest()) {
        return match seen.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')) {
            None => respond(stream, 200, &[], BLOB),
            Some(offset) => {
                let range = format!("bytes {offset}-9/10");
                respond(stream, 206, &[("Content-Range", &range)], &BLOB[offset.parse::<usize>().unwrap()..]);
            }
        };
    }
    respond(stream, 404, &[], if seen.method == "HEAD" { b"" } else { ERROR });
}

#[test]
fn manifests_by_tag_and_by_digest() {
    let server = Server::start(registry);
    let fixture = Fixture::new(|_| {});
    let repository = fixture.pull(&format!("{}/app:v1", server.named("localhost")));
    let digest = Digest::sha256(MANIFEST);
    for name in [ManifestName::Tag("v1"), ManifestName::Digest(&digest)] {
        let document = repository.manifest(name, 1 << 20).unwrap();
        assert_eq!((document.bytes.as_slice(), document.media_type.as_str()), (MANIFEST, MANIFEST_TYPE));
    }
    let accept = server.seen().last().unwrap().header("accept").unwrap().to_owned();
    for kind in
        ["oci.image.index.v1", "oci.image.manifest.v1", "manifest.list.v2", "docker.distribution.manifest.v2"]
    {
        assert!(accept.contains(kind), "{accept}");
    }
    let head = repository.head_manifest(ManifestName::Tag("v1")).unwrap();
    assert_eq!((head.digest, head.size), (Some(digest), Some(MANIFEST.len() as u64)));
    assert_eq!(head.media_type, MANIFEST_TYPE);
    assert!(server.seen().last().unwrap().is("HEAD", "/v2/app/manifests/v1"));
}

#[test]
fn blobs_from_any_position() {
    let server = Server::start(registry);
    let fixture = Fixture::new(|_| {});
    let repository = fixture.pull(&format!("{}/app", server.named("localhost")));
    for offset in [0, 1, 9] {
        let blob = get_blob(&repository, offset).unwrap();
        assert_eq!(blob.offset, offset);
        assert_eq!(read(blob).unwrap(), &BLOB[offset as usize..]);
    }
    let before = server.seen().len();
    let nothing = get_blob(&repository, 10).unwrap();
    assert_eq!((nothing.offset, read(nothing).unwrap().len()), (10, 0));
    assert_eq!(server.seen().len(), before, "what is complete is not asked for");
}

#[test]
fn a_registry_without_ranges_sends_everything() {
    for status in [200, 416] {
        let server = Server::start(move |seen, stream| match seen.header("range") {
            Some(_) if status == 416 => respond(stream, 416, &[("Content-Range", "bytes */10")], b"no"),
            _ => respond(stream, 200, &[], BLOB),
        });
        let fixture = Fixture::new(|_| {});
        let blob = get_blob(&fixture.pull(&format!("{}/app", server.named("localhost"))), 4).unwrap();
        assert_eq!((blob.offset, read(blob).unwrap().as_slice()), (0, BLOB), "{status}");
    }
}

#[test]
fn connections_are_used_again() {
    // The handler runs per request, the thread per connection.
    let threads = std::sync::Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let seen_threads = threads.clone();
    let server = Server::start(move |seen, stream| {
        if seen.path != "/v2/" {
            seen_threads.lock().unwrap().insert(std::thread::current().id());
        }
        registry(seen, stream);
    });
    let fixture = Fixture::new(|_| {});
    let repository = fixture.pull(&format!("{}/app:v1", server.named("localhost")));
    for _ in 0..5 {
        repository.manifest(ManifestName::Tag("v1"), 1 << 20).unwrap();
        read(get_blob(&repository, 0).unwrap()).unwrap();
    }
    assert_eq!(threads.lock().unwrap().len(), 1);
}

#[test]
fn what_is_not_there_is_said_as_docker_says_it() {
    let server = Server::start(registry);
    let fixture = Fixture::new(|_| {});
    let name = format!("{}/app", server.named("localhost"));
    let repository = fixture.pull(&format!("{name}:none"));
    let error = repository.manifest(ManifestName::Tag("none"), 1 << 20).unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::NotFound);
    let expected = format!("manifest for {name}:none not found: manifest unknown: manifest unknown");
    assert_eq!(error.message, expected);
    assert_eq!(repository.head_manifest(ManifestName::Tag("none")).unwrap_err().message, expected);
    let missing = Digest::sha256(b"other");
    let error = repository.blob(&missing, 5, 0).unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::NotFound);
    assert!(error.message.starts_with(&format!("cannot get blob {missing} of {name}: ")), "{error}");
}

#[test]
fn transient_failures_pass() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let server = Server::start(move |seen, stream| {
        if seen.path == "/v2/" {
            return respond(stream, 200, &[], b"");
        }
        match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => respond(stream, 503, &[], b"<html>busy</html>"),
            1 => respond(stream, 429, &[("Retry-After", "0")], b""),
            2 => {
                // Breaks off in the middle of the header.
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-");
                panic_quietly();
            }
            _ => registry(seen, stream),
        }
    });
    let fixture = Fixture::new(|_| {});
    let repository = fixture.pull(&format!("{}/app:v1", server.named("localhost")));
    assert_eq!(repository.manifest(ManifestName::Tag("v1"), 1 << 20).unwrap().bytes, MANIFEST);
    assert_eq!(server.asked().len(), 4);
}

/// Ends a server's connection.
fn panic_quietly() {
    std::panic::resume_unwind(Box::new(()));
}

#[test]
fn tags_page_by_page() {
    let server = Server::start(|seen, stream| match seen.path.as_str() {
        "/v2/app/tags/list?n=1000" => {
            let link = [("Link", "</v2/app/tags/list?n=1000&last=b>; rel=\"next\"")];
            respond(stream, 200, &link, br#"{"name":"app","tags":["a","b"]}"#);
        }
        "/v2/app/tags/list?n=1000&last=b" => respond(stream, 200, &[], br#"{"tags":["c"]}"#),
        _ => respond(stream, 200, &[], br#"{"tags":null}"#),
    });
    let fixture = Fixture::new(|_| {});
    assert_eq!(fixture.pull(&format!("{}/app", server.named("localhost"))).tags().unwrap(), ["a", "b", "c"]);
    assert!(fixture.pull(&format!("{}/none", server.named("localhost"))).tags().unwrap().is_empty());
}

//! Pushing.

use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox_image::{Digest, ManifestName, RemoteErrorKind, Target};

use super::server::{Server, respond};
use super::{BLOB, Fixture, MANIFEST, MANIFEST_TYPE, PUBLIC, blob_digest, once};
use crate::Access;

type Content = std::io::Result<Box<dyn Read + Send>>;

const CONTENT: fn() -> Content = || Ok(Box::new(BLOB));

#[test]
fn a_blob_in_one_piece() {
    let registry = Server::start(|seen, stream| match seen.method.as_str() {
        "HEAD" => respond(stream, if seen.path.ends_with(blob_digest().hex()) { 404 } else { 200 }, &[], b""),
        "POST" => respond(stream, 202, &[("Location", "/upload/1?state=a%2Bb")], b""),
        _ => respond(stream, 201, &[("Docker-Content-Digest", &blob_digest().to_string())], b""),
    });
    let fixture = Fixture::new(|_| {});
    let repository = fixture.repository(&format!("{}/app", registry.named("localhost")), Access::PullPush);
    assert!(!repository.has_blob(&blob_digest()).unwrap());
    assert!(repository.has_blob(&Digest::sha256(b"")).unwrap());
    repository.put_blob(&blob_digest(), BLOB.len() as u64, &CONTENT).unwrap();
    repository.put_blob(&Digest::sha256(b""), 0, &|| Ok(Box::new(std::io::empty()))).unwrap_err();
    let seen = registry.seen();
    let put = seen.iter().find(|seen| seen.method == "PUT").unwrap();
    assert_eq!(put.path, format!("/upload/1?state=a%2Bb&digest=sha256%3A{}", blob_digest().hex()));
    assert_eq!(put.body, BLOB);
    assert_eq!(put.header("content-type"), Some("application/octet-stream"));
}

#[test]
fn large_blobs_stream() {
    let big = vec![7_u8; 3 << 20];
    let digest = Digest::sha256(&big);
    let registry = Server::start(|seen, stream| match seen.method.as_str() {
        "POST" => respond(stream, 202, &[("Location", "upload-2")], b""),
        "PUT" => respond(stream, if seen.body.len() == 3 << 20 { 201 } else { 400 }, &[], b""),
        _ => respond(stream, 200, &[], b""),
    });
    let fixture = Fixture::new(|_| {});
    let repository = fixture.repository(&format!("{}/app", registry.named("localhost")), Access::PullPush);
    let bytes = std::sync::Arc::<[u8]>::from(big);
    let open = || -> Content { Ok(Box::new(std::io::Cursor::new(bytes.clone()))) };
    repository.put_blob(&digest, bytes.len() as u64, &open).unwrap();
    let seen = registry.seen();
    let put = seen.iter().find(|seen| seen.method == "PUT").unwrap();
    assert!(put.path.starts_with("/v2/app/blobs/uploads/upload-2?digest="), "{}", put.path);
    assert_eq!(put.header("expect"), Some("100-continue"));
}

#[test]
fn an_upload_that_breaks_begins_again() {
    let count = AtomicU32::new(0);
    let registry = Server::start(move |seen, stream| match seen.method.as_str() {
        "POST" => respond(stream, 202, &[("Location", "/upload")], b""),
        "PUT" => match count.fetch_add(1, Ordering::Relaxed) {
            0 => respond(stream, 500, &[], b""),
            1 => {
                let lost = br#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}"#;
                respond(stream, 404, &[], lost);
            }
            2 => std::panic::resume_unwind(Box::new(())),
            _ => respond(stream, 201, &[], b""),
        },
        _ => respond(stream, 200, &[], b""),
    });
    let fixture = Fixture::new(|_| {});
    let repository = fixture.repository(&format!("{}/app", registry.named("localhost")), Access::PullPush);
    let opened = AtomicU32::new(0);
    let open = || {
        opened.fetch_add(1, Ordering::Relaxed);
        CONTENT()
    };
    repository.put_blob(&blob_digest(), BLOB.len() as u64, &open).unwrap();
    assert_eq!(opened.load(Ordering::Relaxed), 4);
    assert!(registry.seen().iter().filter(|seen| seen.method == "PUT").all(|seen| seen.body == BLOB));
}

#[test]
fn content_that_is_not_what_was_said() {
    let registry = Server::start(|seen, stream| match seen.method.as_str() {
        "POST" => respond(stream, 202, &[("Location", "/upload")], b""),
        _ => respond(stream, 201, &[], b""),
    });
    let fixture = Fixture::new(once);
    let repository = fixture.repository(&format!("{}/app", registry.named("localhost")), Access::PullPush);
    let error = repository.put_blob(&blob_digest(), 11, &CONTENT).unwrap_err();
    assert!(error.message.contains("what is to be sent ends 1 bytes early"), "{error}");
    let gone = || -> Content { Err(std::io::ErrorKind::NotFound.into()) };
    let error = repository.put_blob(&blob_digest(), 10, &gone).unwrap_err();
    assert!(error.message.contains("cannot read what is to be sent"), "{error}");
    // What is more is not sent.
    repository.put_blob(&blob_digest(), 9, &CONTENT).unwrap();
    assert_eq!(registry.seen().last().unwrap().body, &BLOB[..9]);
}

#[test]
fn upload_locations_are_redirects() {
    let stranger = Server::start(|_, stream| respond(stream, 201, &[], b""));
    let far = format!("http://{}/upload", stranger.named("other.test"));
    let cases = [
        ("localhost", Some(far.clone()), ""),
        (PUBLIC, Some(far), "an address of this machine"),
        ("localhost", Some("file:///etc/shadow".to_owned()), "neither http nor https"),
        ("localhost", None, "sends an upload location without a location"),
    ];
    for (host, location, cause) in cases {
        let registry = Server::start(move |seen, stream| match seen.method.as_str() {
            _ if seen.header("authorization").is_none() => {
                respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"");
            }
            "POST" => match &location {
                Some(location) => respond(stream, 202, &[("Location", location)], b""),
                None => respond(stream, 202, &[], b""),
            },
            _ => respond(stream, 200, &[], b""),
        });
        let fixture = Fixture::new(once);
        let name = registry.named(host);
        fixture.know(&name, "user", "password");
        let repository = fixture.repository(&format!("{name}/app"), Access::PullPush);
        let result = repository.put_blob(&blob_digest(), BLOB.len() as u64, &CONTENT);
        match result {
            Ok(()) => assert!(cause.is_empty()),
            Err(error) => assert!(!cause.is_empty() && error.message.contains(cause), "{cause}: {error}"),
        }
    }
    let seen = stranger.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].header("authorization"), seen[0].body.as_slice()), (None, BLOB));
}

#[test]
fn mounts() {
    let cancelled = std::sync::Arc::new(Mutex::new(false));
    let seen_cancel = cancelled.clone();
    let registry = Server::start(move |seen, stream| {
        if seen.method == "DELETE" {
            *seen_cancel.lock().unwrap() = seen.path == "/upload/3";
            return respond(stream, 204, &[], b"");
        }
        match seen.path.split_once("from=").map(|(_, from)| from) {
            Some("there") => respond(stream, 201, &[("Location", "/v2/app/blobs/x")], b""),
            Some("forbidden") => respond(stream, 403, &[], b""),
            Some("broken") => respond(stream, 503, &[], b""),
            _ => respond(stream, 202, &[("Location", "/upload/3")], b""),
        }
    });
    let fixture = Fixture::new(once);
    let repository = fixture.repository(&format!("{}/app", registry.named("localhost")), Access::PullPush);
    assert!(repository.mount_blob(&blob_digest(), "there").unwrap());
    assert!(!repository.mount_blob(&blob_digest(), "forbidden").unwrap());
    assert!(!repository.mount_blob(&blob_digest(), "not-there").unwrap());
    assert!(*cancelled.lock().unwrap(), "the upload that was begun instead is cancelled");
    assert_eq!(repository.mount_blob(&blob_digest(), "broken").unwrap_err().kind, RemoteErrorKind::Transient);
}

#[test]
fn manifests_byte_for_byte() {
    let digest = Digest::sha256(MANIFEST);
    let registry = Server::start(|seen, stream| {
        let claimed = match seen.path.rsplit('/').next() {
            Some("lies") => Digest::sha256(b"other"),
            _ => Digest::sha256(MANIFEST),
        };
        respond(stream, 201, &[("Docker-Content-Digest", &claimed.to_string())], b"");
    });
    let fixture = Fixture::new(once);
    let repository = fixture.repository(&format!("{}/app", registry.named("localhost")), Access::PullPush);
    for name in [ManifestName::Tag("v1"), ManifestName::Digest(&digest)] {
        repository.put_manifest(name, MANIFEST_TYPE, MANIFEST).unwrap();
        let seen = registry.seen().pop().unwrap();
        assert!(seen.is("PUT", &format!("/v2/app/manifests/{name}")), "{}", seen.path);
        assert_eq!((seen.body.as_slice(), seen.header("content-type")), (MANIFEST, Some(MANIFEST_TYPE)));
    }
    let error = repository.put_manifest(ManifestName::Tag("lies"), MANIFEST_TYPE, MANIFEST).unwrap_err();
    assert!(error.message.contains("says that the digest of the manifest is"), "{error}");
    let other = Digest::sha256(b"other");
    let before = registry.seen().len();
    let error = repository.put_manifest(ManifestName::Digest(&other), MANIFEST_TYPE, MANIFEST).unwrap_err();
    assert!(error.message.contains("its digest is"), "{error}");
    assert_eq!(registry.seen().len(), before);
}

#[test]
fn denied_pushes_say_what_to_do() {
    let registry = Server::start(|_, stream| {
        let body =
            br#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
        respond(stream, 403, &[], body);
    });
    let fixture = Fixture::new(once);
    let name = registry.named("localhost");
    let repository = fixture.repository(&format!("{name}/app:v1"), Access::PullPush);
    let error = repository.put_manifest(ManifestName::Tag("v1"), MANIFEST_TYPE, MANIFEST).unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Denied);
    let expected = format!(
        "denied: requested access to the resource is denied \
         (to push to {name}/app log in as somebody who may: 'sandbox login {name}')"
    );
    assert!(error.message.ends_with(&expected), "{error}");
}

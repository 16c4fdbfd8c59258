//! Where registries send us, and with what.

use sandbox_image::{ManifestName, Origin};

use super::server::{Server, respond};
use super::{BLOB, Fixture, MANIFEST, PUBLIC, get_blob, once, read};

/// A registry that sends whoever asks for a blob to `location`.
fn sends_to(location: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    Server::start(move |seen, stream| match seen.path.as_str() {
        "/v2/" => respond(stream, 200, &[], b""),
        path if path.contains("/blobs/") || path.contains("/loop") => {
            respond(stream, 307, &[("Location", &location(path))], b"");
        }
        _ => respond(stream, 200, &[], MANIFEST),
    })
}

#[test]
fn storage_gets_the_range_and_no_credentials() {
    let storage = Server::start(|_, stream| {
        respond(stream, 206, &[("Content-Range", "bytes 4-9/10")], &BLOB[4..]);
    });
    let place = format!("http://{}/blob?X-Signature=secret", storage.named("other.test"));
    let registry = Server::start(move |seen, stream| {
        if seen.path == "/v2/" || seen.header("authorization").is_none() {
            return respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"");
        }
        respond(stream, 307, &[("Location", &place)], b"");
    });
    let fixture = Fixture::new(|_| {});
    let name = registry.named("localhost");
    fixture.know(&name, "user", "password");
    let blob = get_blob(&fixture.pull(&format!("{name}/app")), 4).unwrap();
    assert_eq!((blob.offset, read(blob).unwrap().as_slice()), (4, &BLOB[4..]));
    let seen = storage.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("range"), Some("bytes=4-"));
    assert_eq!(seen[0].header("authorization"), None, "the registry's password reached another host");
    assert!(seen[0].is("GET", "/blob?X-Signature=secret"));
}

#[test]
fn another_port_is_another_host() {
    let other = Server::start(|_, stream| respond(stream, 200, &[], BLOB));
    let place = format!("http://{}/blob", other.named("localhost"));
    let registry = Server::start(move |seen, stream| match seen.header("authorization") {
        None => respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
        Some(_) => respond(stream, 302, &[("Location", &place)], b""),
    });
    let fixture = Fixture::new(|_| {});
    let name = registry.named("localhost");
    fixture.know(&name, "user", "password");
    get_blob(&fixture.pull(&format!("{name}/app")), 0).unwrap();
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[test]
fn storage_may_demand_nothing() {
    let storage = Server::start(|_, stream| {
        respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"give me\"")], b"");
    });
    let place = format!("http://{}/blob", storage.named("other.test"));
    let registry = sends_to(move |_| place.clone());
    let fixture = Fixture::new(once);
    let name = registry.named("localhost");
    fixture.know(&name, "user", "password");
    fixture.know(&storage.named("other.test"), "other", "password");
    assert!(get_blob(&fixture.pull(&format!("{name}/app")), 0).is_err());
    assert!(storage.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[test]
fn refused_by_name() {
    for (location, host, cause) in [
        (
            "file:///etc/passwd",
            "localhost",
            "\"file:///etc/passwd\" is neither http nor https, which is refused",
        ),
        ("ftp://other.test/blob", "localhost", "is neither http nor https"),
        ("http://user:password@other.test/", "localhost", "carries a user name"),
        ("http://169.254.169.254/latest/meta-data", "localhost", "169.254.169.254, a link-local address"),
        ("http://[fe80::1]/", "localhost", "fe80::1, a link-local address"),
        ("http://metadata.test/", "localhost", "metadata.test (169.254.169.254), a link-local address"),
        ("http://127.0.0.1:9/", PUBLIC, "127.0.0.1, an address of this machine"),
        ("http://[::1]:9/", PUBLIC, "::1, an address of this machine"),
        ("http://[::ffff:127.0.0.1]:9/", PUBLIC, "an address of this machine"),
        ("http://localhost:9/", PUBLIC, "localhost (127.0.0.1), an address of this machine"),
        ("http://other.test:9/", PUBLIC, "other.test (127.0.0.1), an address of this machine"),
        ("http://10.0.0.1/", PUBLIC, "10.0.0.1, an address of a private network"),
        ("http://0.0.0.0/", "localhost", "0.0.0.0, an address that no host has"),
        ("http://2130706433/", PUBLIC, "has no valid host"),
        ("http://other.test/\u{1}", "localhost", ""),
        ("", "localhost", "redirects in a circle"),
    ] {
        let registry = sends_to(move |_| location.to_owned());
        let fixture = Fixture::new(once);
        let error = get_blob(&fixture.pull(&format!("{}/app", registry.named(host))), 0).expect_err(location);
        assert!(error.message.contains(cause), "{location}: {error}");
    }
}

#[test]
fn circles_and_long_ways() {
    let circle =
        sends_to(
            |path| if path.contains("blobs") { "/loop/1".to_owned() } else { "/v2/app/blobs/x".to_owned() },
        );
    let endless = sends_to(|path| format!("/loop{path}"));
    for (registry, cause) in [(&circle, "in a circle"), (&endless, "more than 5 times")] {
        let fixture = Fixture::new(once);
        let error = get_blob(&fixture.pull(&format!("{}/app", registry.named("localhost"))), 0).unwrap_err();
        assert!(error.message.contains(cause), "{error}");
        assert!(registry.seen().len() <= 10);
    }
}

#[test]
fn a_public_registry_may_send_to_itself() {
    let registry = Server::start(|seen, stream| match seen.path.as_str() {
        "/elsewhere" => respond(stream, 200, &[], BLOB),
        path if path.contains("/blobs/") => respond(stream, 303, &[("Location", "/elsewhere")], b""),
        _ => respond(stream, 200, &[], MANIFEST),
    });
    let fixture = Fixture::new(once);
    let repository = fixture.pull(&format!("{}/app:v1", registry.named(PUBLIC)));
    repository.manifest(ManifestName::Tag("v1"), 65536).unwrap();
    assert_eq!(read(get_blob(&repository, 0).unwrap()).unwrap(), BLOB);
}

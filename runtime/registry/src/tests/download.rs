//! Downloads that a person asked for, and logins with what is kept.

use std::io::Read;

use super::server::{Server, head, respond};
use super::{Fixture, PUBLIC, once};

#[test]
fn content_as_it_comes_without_credentials() {
    let server = Server::start(|seen, stream| match seen.path.as_str() {
        "/old.tar" => respond(stream, 302, &[("Location", "/new.tar")], b""),
        "/new.tar" => respond(stream, 200, &[], b"content"),
        "/open.tar" => {
            head(stream, 200, &[("Connection", "close")]);
            stream.write_all(b"until the end").unwrap();
        }
        _ => respond(stream, 404, &[], b""),
    });
    let fixture = Fixture::new(once);
    let name = server.named("localhost");
    fixture.know(&name, "user", "secret");
    let get = |path: &str| {
        let mut content = String::new();
        fixture.client.download(&format!("http://{name}{path}")).map(|mut reader| {
            reader.read_to_string(&mut content).unwrap();
            content
        })
    };
    assert_eq!(get("/old.tar").unwrap(), "content");
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
    let error = get("/none.tar").unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot download http://{name}/none.tar: ")), "{error}");
}

#[test]
fn a_download_is_not_sent_nearer_than_it_began() {
    let server = Server::start(|_, stream| {
        respond(stream, 302, &[("Location", "http://169.254.169.254/latest/meta-data")], b"");
    });
    let fixture = Fixture::new(once);
    let error = fixture.client.download(&format!("http://{}/x.tar", server.named(PUBLIC))).err().unwrap();
    assert!(error.to_string().contains("169.254.169.254, a link-local address"), "{error}");
    assert!(fixture.client.download("file:///etc/passwd").is_err());
}

#[test]
fn a_login_with_what_is_kept() {
    let registry = Server::start(|seen, stream| match seen.header("authorization") {
        Some("Basic dXNlcjpwYXNz") => respond(stream, 200, &[], b"{}"),
        _ => respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
    });
    let fixture = Fixture::new(once);
    let name = registry.named("localhost");
    assert_eq!(fixture.client.stored_user(&name).unwrap(), None);
    assert!(fixture.client.login_again(&name).unwrap().is_none());
    fixture.know(&name, "user", "pass");
    assert_eq!(fixture.client.stored_user(&name).unwrap().as_deref(), Some("user"));
    assert_eq!(fixture.client.login_again(&name).unwrap().unwrap().status, "Login Succeeded");
    fixture.know(&name, "user", "old");
    assert!(fixture.client.login_again(&name).is_err());
}

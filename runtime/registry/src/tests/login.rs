//! Logging in and out.

use super::server::{Server, respond};
use super::{Fixture, once};
use crate::LoginError;

fn config(fixture: &Fixture) -> serde_json::Value {
    let text =
        std::fs::read_to_string(fixture.directory.path().join("config.json")).unwrap_or("{}".to_owned());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn passwords_are_tried_before_they_are_kept() {
    let registry = Server::start(|seen, stream| match seen.header("authorization") {
        Some("Basic dXNlcjpwYXNz") => respond(stream, 200, &[], b"{}"),
        _ => respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
    });
    let fixture = Fixture::new(once);
    let name = registry.named("localhost");
    let error = fixture.client.login(&name, "user", "wrong").unwrap_err();
    assert!(matches!(error, LoginError::Registry(_)));
    let expected = format!("cannot log in to {name}: unauthorized: incorrect username or password");
    assert_eq!(error.to_string(), expected);
    assert_eq!(config(&fixture), serde_json::json!({}), "nothing is kept");

    let login = fixture.client.login(&format!("http://{name}/v2/"), "user", "pass").unwrap();
    assert_eq!(login.status, "Login Succeeded");
    let path = fixture.directory.path().join("config.json");
    assert!(login.warning.unwrap().starts_with(&format!(
        "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper",
        path.canonicalize().unwrap().display()
    )));
    assert_eq!(config(&fixture)["auths"][&name]["auth"], "dXNlcjpwYXNz");

    let logout = fixture.client.logout(&name).unwrap();
    assert_eq!((logout.server.as_str(), logout.removed), (name.as_str(), true));
    assert!(!fixture.client.logout(&name).unwrap().removed);
}

#[test]
fn an_identity_token_is_kept_in_place_of_the_password() {
    let service = Server::start(|_, stream| {
        respond(stream, 200, &[], br#"{"token":"t","refresh_token":"identity"}"#);
    });
    let realm = format!("http://{}/token", service.named("localhost"));
    let registry = Server::start(move |seen, stream| match seen.header("authorization") {
        Some("Bearer t") => respond(stream, 200, &[], b"{}"),
        _ => respond(stream, 401, &[("WWW-Authenticate", &format!("Bearer realm=\"{realm}\""))], b""),
    });
    let fixture = Fixture::new(once);
    let name = registry.named("localhost");
    fixture.client.login(&name, "user", "secret").unwrap();
    let entry = config(&fixture)["auths"][&name].clone();
    assert_eq!(entry["identitytoken"], "identity");
    // "user:"
    assert_eq!(entry["auth"], "dXNlcjo=", "the password is not kept");
    assert!(service.asked()[0].contains("offline_token=true"), "{:?}", service.asked());
}

#[test]
fn what_is_no_registry_is_refused() {
    let fixture = Fixture::new(once);
    for server in ["a b", "user@host", "127.1"] {
        assert!(fixture.client.login(server, "user", "pass").is_err(), "{server}");
    }
}

//! Tokens, passwords, and who gets to see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox_image::{ManifestName, Origin, RemoteErrorKind, Target};

use super::server::{Seen, Server, Stream, respond};
use super::{Fixture, MANIFEST, PUBLIC, blob_digest, once};
use crate::{Access, Repository};

fn manifest(repository: &Repository) -> Result<Vec<u8>, String> {
    repository
        .manifest(ManifestName::Tag("v1"), 65536)
        .map(|document| document.bytes)
        .map_err(|error| error.message)
}

/// A registry that takes `Bearer {token}` and sends everybody else to `realm`.
fn demanding(realm: String, token: &'static str) -> Server {
    Server::start(move |seen, stream| {
        if seen.header("authorization") == Some(&format!("Bearer {token}")) {
            return respond(stream, 200, &[], MANIFEST);
        }
        let challenge = format!("Bearer realm=\"{realm}\",service=\"the service\"");
        respond(stream, 401, &[("WWW-Authenticate", &challenge)], b"");
    })
}

fn token_service(answer: &'static str) -> Server {
    Server::start(move |_, stream| respond(stream, 200, &[], answer.as_bytes()))
}

#[test]
fn anonymous_tokens_are_fetched_once_for_each_scope() {
    let service = token_service(r#"{"token":"t","expires_in":300}"#);
    let registry = demanding(format!("http://{}/token?a=b", service.named("localhost")), "t");
    let fixture = Fixture::new(|_| {});
    let name = registry.named("localhost");
    let repository = fixture.pull(&format!("{name}/app:v1"));
    for _ in 0..3 {
        assert_eq!(manifest(&repository).unwrap(), MANIFEST);
    }
    assert_eq!(manifest(&fixture.pull(&format!("{name}/app2:v1"))).unwrap(), MANIFEST);
    let asked = service.asked();
    assert_eq!(
        asked,
        [
            "GET /token?a=b&service=the%20service&scope=repository%3Aapp%3Apull",
            "GET /token?a=b&service=the%20service&scope=repository%3Aapp2%3Apull"
        ]
    );
    assert!(service.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[test]
fn passwords_buy_tokens_and_go_nowhere_else() {
    let service = token_service(r#"{"access_token":"t"}"#);
    let registry = demanding(format!("http://{}/token", service.named("localhost")), "t");
    let fixture = Fixture::new(|_| {});
    let name = registry.named("localhost");
    fixture.know(&name, "user", "pass:word");
    let repository = fixture.repository(&format!("{name}/app:v1"), Access::PullPush);
    assert_eq!(manifest(&repository).unwrap(), MANIFEST);
    let asked = &service.seen()[0];
    // user:pass:word
    assert_eq!(asked.header("authorization"), Some("Basic dXNlcjpwYXNzOndvcmQ="));
    assert!(asked.path.contains("account=user") && asked.path.contains("pull%2Cpush"), "{}", asked.path);
    let basic = |seen: &Seen| seen.header("authorization").is_some_and(|value| value.starts_with("Basic"));
    assert!(!registry.seen().iter().any(basic), "the password was shown to a registry that wants tokens");
}

#[test]
fn identity_tokens_are_exchanged() {
    let service = token_service(r#"{"access_token":"t","refresh_token":"new"}"#);
    let registry = demanding(format!("http://{}/token", service.named("localhost")), "t");
    let fixture = Fixture::new(|_| {});
    let name = registry.named("localhost");
    let token = crate::credentials::Credential::Identity { token: "id&token".to_owned() };
    fixture.client.credentials.keep(&name, "user", &token).unwrap();
    assert_eq!(manifest(&fixture.pull(&format!("{name}/app:v1"))).unwrap(), MANIFEST);
    let asked = &service.seen()[0];
    assert!(asked.is("POST", "/token"));
    assert_eq!(
        String::from_utf8_lossy(&asked.body),
        "grant_type=refresh_token&client_id=sandbox&refresh_token=id%26token\
         &service=the%20service&scope=repository%3Aapp%3Apull"
    );
}

#[test]
fn basic_credentials_of_the_configuration() {
    let registry = Server::start(|seen, stream| match seen.header("authorization") {
        Some("Basic dXNlcjpwYXNz") => respond(stream, 200, &[], MANIFEST),
        _ => respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
    });
    let fixture = Fixture::new(|_| {});
    let name = registry.named("localhost");
    let error = manifest(&fixture.pull(&format!("{name}/app:v1"))).unwrap_err();
    assert!(
        error.contains(&format!("no basic auth credentials for {name}; log in with 'sandbox login {name}'")),
        "{error}"
    );
    fixture.client.forget();
    fixture.know(&name, "user", "pass");
    let repository = fixture.pull(&format!("{name}/app:v1"));
    assert_eq!(manifest(&repository).unwrap(), MANIFEST);
    let before = registry.seen().len();
    assert_eq!(manifest(&repository).unwrap(), MANIFEST);
    assert_eq!(registry.seen().len(), before + 1, "what is demanded is remembered");
}

#[test]
fn a_token_that_expired_early_is_renewed_once() {
    let count = Arc::new(AtomicU32::new(0));
    let issued = count.clone();
    let service = Server::start(move |_, stream| {
        let number = issued.fetch_add(1, Ordering::Relaxed);
        respond(stream, 200, &[], format!(r#"{{"token":"t{number}","expires_in":3600}}"#).as_bytes());
    });
    let realm = format!("http://{}/token", service.named("localhost"));
    // Each token is good for one request.
    let current = count.clone();
    let used = AtomicU32::new(u32::MAX);
    let registry = Server::start(move |seen, stream| {
        let last = current.load(Ordering::Relaxed).wrapping_sub(1);
        let good = seen.header("authorization") == Some(&format!("Bearer t{last}"));
        if good && used.swap(last, Ordering::Relaxed) != last {
            return respond(stream, 200, &[], MANIFEST);
        }
        respond(stream, 401, &[("WWW-Authenticate", &format!("Bearer realm=\"{realm}\""))], b"");
    });
    let fixture = Fixture::new(|_| {});
    let repository = fixture.pull(&format!("{}/app:v1", registry.named("localhost")));
    for expected in 1..=3 {
        assert_eq!(manifest(&repository).unwrap(), MANIFEST);
        assert_eq!(count.load(Ordering::Relaxed), expected);
    }
}

#[test]
fn a_token_that_does_not_suffice_is_not_fetched_for_ever() {
    let service = token_service(r#"{"token":"wrong"}"#);
    let realm = format!("http://{}/token", service.named("localhost"));
    let registry = Server::start(move |_, stream| {
        let challenge = format!("Bearer realm=\"{realm}\",error=\"insufficient_scope\"");
        respond(stream, 401, &[("WWW-Authenticate", &challenge)], b"{}");
    });
    let fixture = Fixture::new(|_| {});
    let name = registry.named("localhost");
    let error = fixture.pull(&format!("{name}/app:v1")).manifest(ManifestName::Tag("v1"), 65536).unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Denied);
    assert_eq!(
        error.message,
        format!(
            "pull access denied for {name}/app, repository does not exist or may require 'sandbox login': \
             denied: requested access to the resource is denied"
        )
    );
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn many_threads_share_one_token() {
    let service = token_service(r#"{"token":"t","expires_in":300}"#);
    let registry = demanding(format!("http://{}/token", service.named("localhost")), "t");
    let fixture = Fixture::new(|_| {});
    let repository = fixture.pull(&format!("{}/app:v1", registry.named("localhost")));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(manifest(&repository).unwrap(), MANIFEST));
        }
    });
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn token_services_that_get_nothing() {
    // Public registries have no business with services of this machine; this one would like to be asked.
    let inside = Server::start(|_, stream| respond(stream, 200, &[], br#"{"token":"t"}"#));
    let near = format!("http://{}/token", inside.named("localhost"));
    let unlisted = format!("http://{}/token", inside.named("other.test"));
    for (host, realm, cause) in [
        ("localhost", "file:///etc/passwd", "is neither http nor https"),
        ("localhost", "/token", "is not an absolute URL"),
        ("localhost", "http://a:b@other.test/", "carries a user name"),
        ("localhost", unlisted.as_str(), "names a token service without TLS"),
        ("localhost", "https://169.254.169.254/", "a link-local address"),
        (PUBLIC, near.as_str(), "an address of this machine"),
        ("localhost", "", "is not an absolute URL"),
    ] {
        let challenge = format!("Bearer realm=\"{realm}\"");
        let registry =
            Server::start(move |_, stream| respond(stream, 401, &[("WWW-Authenticate", &challenge)], b""));
        let fixture = Fixture::new(once);
        let name = registry.named(host);
        fixture.know(&name, "user", "password");
        let error = manifest(&fixture.pull(&format!("{name}/app:v1"))).expect_err(realm);
        assert!(error.contains(cause), "{realm}: {error}");
    }
    assert!(inside.seen().is_empty());
}

#[test]
fn challenges_that_are_garbage() {
    for (challenge, cause) in [
        ("", "does not say how"),
        ("Negotiate", "does not say how"),
        ("Bearer", "does not say where to get it (no realm)"),
        ("Bearer realm=\"", "does not say where to get it (no realm)"),
        ("Bearer service=x, realm=, scope", "does not say where to get it (no realm)"),
        ("=,=,\"\"\"", "does not say how"),
    ] {
        let registry =
            Server::start(move |_, stream| respond(stream, 401, &[("WWW-Authenticate", challenge)], b""));
        let fixture = Fixture::new(once);
        let error = manifest(&fixture.pull(&format!("{}/app:v1", registry.named("localhost")))).unwrap_err();
        assert!(error.contains(cause), "{challenge}: {error}");
    }
}

#[test]
fn token_answers_that_are_garbage() {
    type Answer = fn(&Seen, &mut dyn Stream);
    let cases: &[(Answer, &str)] = &[
        (|_, stream| respond(stream, 200, &[], b"secret nonsense"), "is not a token's"),
        (|_, stream| respond(stream, 200, &[], b"{}"), "has no token"),
        (|_, stream| respond(stream, 200, &[], br#"{"token":"a\r\nX-Evil: 1"}"#), "fits into no header"),
        (
            |_, stream| {
                let token = format!(r#"{{"token":"{}"}}"#, "a".repeat(40_000));
                respond(stream, 200, &[], token.as_bytes());
            },
            "fits into no header",
        ),
        (|_, stream| respond(stream, 200, &[], &vec![b' '; 2 << 20]), "more than 1048576 bytes"),
        (
            |_, stream| respond(stream, 401, &[], br#"{"details":"incorrect username or password"}"#),
            "unauthorized: incorrect username or password",
        ),
        (|_, stream| respond(stream, 307, &[("Location", "file:///x")], b""), "neither http nor https"),
    ];
    for (answer, cause) in cases {
        let service = Server::start(*answer);
        let registry = demanding(format!("http://{}/token", service.named("localhost")), "t");
        let fixture = Fixture::new(once);
        let error = manifest(&fixture.pull(&format!("{}/app:v1", registry.named("localhost")))).unwrap_err();
        assert!(error.contains(cause) && !error.contains("secret"), "{cause}: {error}");
    }
}

/// A redirect of the token service takes no password along.
#[test]
fn token_services_that_send_elsewhere() {
    let thief = token_service(r#"{"token":"t"}"#);
    let place = format!("http://{}/steal", thief.named("localhost"));
    let service = Server::start(move |_, stream| respond(stream, 302, &[("Location", &place)], b""));
    let registry = demanding(format!("http://{}/token", service.named("localhost")), "t");
    let fixture = Fixture::new(|_| {});
    let name = registry.named("localhost");
    fixture.know(&name, "user", "password");
    assert_eq!(manifest(&fixture.pull(&format!("{name}/app:v1"))).unwrap(), MANIFEST);
    assert_eq!(thief.seen()[0].header("authorization"), None);
}

/// The identity token is in the form, and a redirect that keeps the method would take it along.
#[test]
fn forms_are_not_redirected() {
    let thief = token_service(r#"{"token":"t"}"#);
    let place = format!("http://{}/steal", thief.named("localhost"));
    let service = Server::start(move |_, stream| respond(stream, 307, &[("Location", &place)], b""));
    let registry = demanding(format!("http://{}/token", service.named("localhost")), "t");
    let fixture = Fixture::new(once);
    let name = registry.named("localhost");
    let token = crate::credentials::Credential::Identity { token: "identity".to_owned() };
    fixture.client.credentials.keep(&name, "user", &token).unwrap();
    let error = manifest(&fixture.pull(&format!("{name}/app:v1"))).unwrap_err();
    assert!(error.contains("answers 307"), "{error}");
    assert!(thief.seen().is_empty());
}

#[test]
fn mounts_ask_for_both_repositories() {
    let service = token_service(r#"{"token":"t"}"#);
    let realm = format!("http://{}/token", service.named("localhost"));
    let registry = Server::start(move |seen, stream| match seen.header("authorization") {
        Some("Bearer t") => respond(stream, 201, &[("Location", "/x")], b""),
        _ => respond(stream, 401, &[("WWW-Authenticate", &format!("Bearer realm=\"{realm}\""))], b""),
    });
    let fixture = Fixture::new(|_| {});
    let repository = fixture.repository(&format!("{}/app", registry.named("localhost")), Access::PullPush);
    assert!(repository.mount_blob(&blob_digest(), "library/alpine").unwrap());
    let scopes = "scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Alibrary%2Falpine%3Apull";
    assert!(service.asked()[0].contains(scopes), "{:?}", service.asked());
}

/// A helper that does not work spoils nothing that needs no credentials.
#[test]
fn broken_helpers_are_named_when_they_matter() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.json"), r#"{"credsStore":"missing"}"#).unwrap();
    let open = token_service(r#"{"token":"t"}"#);
    let registry = demanding(format!("http://{}/token", open.named("localhost")), "t");
    let closed = Server::start(|_, stream| {
        respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"");
    });
    let fixture = Fixture::with_directory(directory, |_| {});
    assert_eq!(
        manifest(&fixture.pull(&format!("{}/app:v1", registry.named("localhost")))).unwrap(),
        MANIFEST
    );
    let error = manifest(&fixture.pull(&format!("{}/app:v1", closed.named("localhost")))).unwrap_err();
    assert!(error.contains("no basic auth credentials"), "{error}");
    assert!(error.contains("docker-credential-missing"), "{error}");
}

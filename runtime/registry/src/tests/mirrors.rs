//! Mirrors: in order, with the registry itself as the last resort, and never for pushes.

use sandbox_image::{ManifestName, Origin, RemoteErrorKind, Target};

use super::server::{Server, refused_address, respond};
use super::{BLOB, Fixture, MANIFEST, blob_digest, get_blob, read};
use crate::config::Mirror;
use crate::{Access, RegistriesConfig};

fn mirror(url: &str) -> Mirror {
    Mirror::try_from(url.to_owned()).unwrap()
}

fn serving(path: &'static str) -> Server {
    Server::start(move |seen, stream| match seen.path.as_str() {
        "/v2/" => respond(stream, 200, &[], b""),
        its if its == format!("/v2/{path}/manifests/latest") => respond(stream, 200, &[], MANIFEST),
        its if its == format!("/v2/{path}/blobs/{}", blob_digest()) => respond(stream, 200, &[], BLOB),
        _ => respond(stream, 404, &[], b""),
    })
}

fn of(domain: &str, mirrors: Vec<String>, only: bool) -> impl FnOnce(&mut RegistriesConfig) {
    let domain = domain.to_owned();
    move |config| {
        config.mirrors.insert(domain.clone(), mirrors.iter().map(|url| mirror(url)).collect());
        if only {
            config.mirrors_only.push(domain);
        }
    }
}

#[test]
fn docker_hub_from_a_mirror() {
    let server = serving("library/alpine");
    let prefixed = serving("hub/library/alpine");
    for url in [format!("http://{}", server.address), format!("http://{}/hub/", prefixed.address)] {
        let fixture = Fixture::new(of("docker.io", vec![url], true));
        let repository = fixture.pull("alpine");
        assert_eq!(repository.manifest(ManifestName::Tag("latest"), 65536).unwrap().bytes, MANIFEST);
        assert_eq!(read(get_blob(&repository, 0).unwrap()).unwrap(), BLOB);
    }
}

#[test]
fn in_order_and_with_a_last_resort() {
    let (empty, upstream) = (serving("other"), serving("app"));
    let dead = refused_address();
    let domain = upstream.named("localhost");
    let mirrors = vec![format!("http://{dead}"), format!("http://{}", empty.address)];
    let fixture = Fixture::new(of(&domain, mirrors, false));
    let repository = fixture.pull(&format!("{domain}/app"));
    assert_eq!(repository.manifest(ManifestName::Tag("latest"), 65536).unwrap().bytes, MANIFEST);
    assert_eq!(empty.asked(), ["GET /v2/app/manifests/latest"]);
    assert_eq!(read(get_blob(&repository, 0).unwrap()).unwrap(), BLOB);
    assert_eq!(empty.asked().len(), 1, "whoever lacks the manifest is not asked for its blobs");
}

#[test]
fn a_mirror_that_lies_is_passed_over() {
    let upstream = serving("app");
    let liar = Server::start(|_, stream| {
        respond(stream, 200, &[("Docker-Content-Digest", "sha256:nonsense")], b"wrong");
    });
    let domain = upstream.named("localhost");
    let fixture = Fixture::new(of(&domain, vec![format!("http://{}", liar.address)], false));
    let repository = fixture.pull(&format!("{domain}/app"));
    assert_eq!(repository.manifest(ManifestName::Tag("latest"), 65536).unwrap().bytes, MANIFEST);
}

#[test]
fn failures_name_everybody() {
    let dead = refused_address();
    let upstream = serving("other");
    let domain = upstream.named("localhost");
    let fixture = Fixture::new(of(&domain, vec![format!("http://{dead}")], false));
    let error =
        fixture.pull(&format!("{domain}/app")).manifest(ManifestName::Tag("latest"), 65536).unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::NotFound);
    assert!(error.message.contains(&format!("manifest for {domain}/app:latest not found")), "{error}");
    assert!(error.message.contains(&format!("mirror {dead}: {dead} refuses the connection")), "{error}");
}

#[test]
fn pushes_go_to_the_registry_itself() {
    let mirror = serving("app");
    let upstream = Server::start(|_, stream| respond(stream, 201, &[], b""));
    let domain = upstream.named("localhost");
    let fixture = Fixture::new(of(&domain, vec![format!("http://{}", mirror.address)], false));
    let repository = fixture.repository(&format!("{domain}/app"), Access::PullPush);
    repository.put_manifest(ManifestName::Tag("v1"), "x", MANIFEST).unwrap();
    assert!(mirror.seen().is_empty());
    assert_eq!(upstream.asked(), ["PUT /v2/app/manifests/v1"]);
}

/// Docker Hub's password is not for its mirrors.
#[test]
fn mirrors_get_their_own_credentials() {
    let server = Server::start(|_, stream| {
        respond(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"");
    });
    let fixture = Fixture::new(of("docker.io", vec![format!("http://{}", server.address)], true));
    fixture.know(crate::credentials::DOCKER_HUB_KEY, "hub", "secret");
    let error = fixture.pull("alpine").manifest(ManifestName::Tag("latest"), 65536).unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Denied);
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

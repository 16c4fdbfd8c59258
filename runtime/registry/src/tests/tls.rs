//! Whose certificates are believed.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sandbox_image::{ManifestName, Origin, RemoteErrorKind};

use super::server::{Server, respond};
use super::{Fixture, MANIFEST, once};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server that shows a certificate for `name`, and demands one if `mutual`.
    fn server(&self, name: &str, mutual: bool) -> Server {
        let (certificate, key) = self.sign(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        Server::start_tls(config, |_, stream| respond(stream, 200, &[], MANIFEST))
    }
}

/// A file of `certs.d`.
fn put(directory: &tempfile::TempDir, host: &str, file: &str, text: &str) {
    let directory = directory.path().join("certs.d").join(host);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(file), text).unwrap();
}

fn manifest(fixture: &Fixture, host: &str) -> Result<Vec<u8>, sandbox_image::RemoteError> {
    let repository = fixture.pull(&format!("{host}/app:v1"));
    repository.manifest(ManifestName::Tag("v1"), 65536).map(|document| document.bytes)
}

#[test]
fn a_private_authority_in_certs_d_or_the_configuration() {
    let authority = Authority::new("ours");
    let server = authority.server("registry.test", false);
    let host = server.named("registry.test");
    let directory = tempfile::tempdir().unwrap();
    put(&directory, &host, "ca.crt", &authority.0.pem());
    assert_eq!(manifest(&Fixture::with_directory(directory, once), &host).unwrap(), MANIFEST);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority.0.pem()).unwrap();
    let fixture = Fixture::with_directory(directory, |config| {
        once(config);
        config.ca.insert(host.clone(), vec![file]);
    });
    assert_eq!(manifest(&fixture, &host).unwrap(), MANIFEST);
}

#[test]
fn strangers_are_refused_and_the_way_out_is_named() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = theirs.server("registry.test", false);
    let host = server.named("registry.test");
    for configured in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        if configured {
            put(&directory, &host, "ca.crt", &ours.0.pem());
        }
        let error = manifest(&Fixture::with_directory(directory, once), &host).unwrap_err();
        assert_eq!(error.kind, RemoteErrorKind::Refused);
        assert!(error.message.contains("has a certificate that is not valid"), "{error}");
        assert!(error.message.contains(&format!("/etc/sandbox/certs.d/{host}/ca.crt")), "{error}");
    }
    assert!(server.seen().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new("ours");
    let server = authority.server("registry.test", false);
    let host = server.named("other.test");
    let directory = tempfile::tempdir().unwrap();
    put(&directory, &host, "ca.crt", &authority.0.pem());
    let error = manifest(&Fixture::with_directory(directory, once), &host).unwrap_err();
    assert!(error.message.contains("has a certificate that is not valid"), "{error}");
}

#[test]
fn this_machine_needs_no_authority_until_it_has_one() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = theirs.server("whoever", false);
    let host = server.named("localhost");
    assert_eq!(manifest(&Fixture::new(once), &host).unwrap(), MANIFEST);
    let directory = tempfile::tempdir().unwrap();
    put(&directory, &host, "ca.crt", &ours.0.pem());
    let error = manifest(&Fixture::with_directory(directory, once), &host).unwrap_err();
    assert!(error.message.contains("not valid"), "{error}");
}

#[test]
fn others_are_never_spoken_to_without_tls() {
    let server = Server::start(|_, stream| respond(stream, 200, &[], MANIFEST));
    let host = server.named("registry.test");
    let error = manifest(&Fixture::new(once), &host).unwrap_err();
    assert!(error.message.contains("does not speak TLS"), "{error}");
    assert!(error.message.contains(&format!("list {host} under insecure")), "{error}");
    assert!(server.seen().is_empty());
}

#[test]
fn we_show_our_certificate() {
    let authority = Authority::new("ours");
    let server = authority.server("registry.test", true);
    let host = server.named("registry.test");
    let directory = tempfile::tempdir().unwrap();
    put(&directory, &host, "ca.crt", &authority.0.pem());
    let anonymous = Fixture::with_directory(directory, once);
    assert!(manifest(&anonymous, &host).is_err());

    let (certificate, key) = authority.sign("client");
    let directory = tempfile::tempdir().unwrap();
    put(&directory, &host, "ca.crt", &authority.0.pem());
    put(&directory, &host, "client.cert", &certificate.pem());
    put(&directory, &host, "client.key", &key.serialize_pem());
    assert_eq!(manifest(&Fixture::with_directory(directory, once), &host).unwrap(), MANIFEST);
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let directory = tempfile::tempdir().unwrap();
    put(&directory, "registry.test:1", "ca.crt", "nonsense");
    put(&directory, "registry.test:2", "client.cert", "nonsense");
    let fixture = Fixture::with_directory(directory, once);
    for (host, file) in [("registry.test:1", "ca.crt"), ("registry.test:2", "client.key")] {
        let error = manifest(&fixture, host).unwrap_err();
        assert!(
            error.message.contains("cannot use the certificate file") && error.message.contains(file),
            "{error}"
        );
    }
}

/// A registry with TLS must not hand credentials to a service without.
#[test]
fn no_step_down_to_clear_text() {
    let authority = Authority::new("ours");
    let inside = Server::start(|_, stream| respond(stream, 200, &[], br#"{"token":"t"}"#));
    let clear = format!("http://{}/x", inside.named("localhost"));
    let (certificate, key) = authority.sign("registry.test");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let server = Server::start_tls(config, move |seen, stream| {
        if seen.path.contains("token") {
            let challenge = format!("Bearer realm=\"{clear}\"");
            return respond(stream, 401, &[("WWW-Authenticate", &challenge)], b"");
        }
        respond(stream, 302, &[("Location", &clear)], b"");
    });
    let host = server.named("registry.test");
    let directory = tempfile::tempdir().unwrap();
    put(&directory, &host, "ca.crt", &authority.0.pem());
    let fixture = Fixture::with_directory(directory, once);
    fixture.know(&host, "user", "password");
    for (path, cause) in [("token", "names a token service without TLS"), ("app", "from https to")] {
        let repository = fixture.pull(&format!("{host}/{path}:v1"));
        let error = repository.manifest(ManifestName::Tag("v1"), 65536).unwrap_err();
        assert!(error.message.contains(cause), "{error}");
    }
    assert!(inside.seen().is_empty());
}

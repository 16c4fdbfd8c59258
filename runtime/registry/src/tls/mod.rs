//! Whom to believe about a host's identity, and how we prove ours.
//!
//! A host's certificate is verified against the system's authorities and those configured for the host: in the
//! configuration file, and as Docker has it in `certs.d/HOST[:PORT]/*.crt`, with our own certificates for the host
//! beside them in `*.cert` and `*.key`. A machine without any authorities still speaks plain HTTP.
//!
//! A host that may be spoken to without TLS is not believed less with it: its certificate is not verified, unless
//! somebody took the trouble to configure an authority for it.

mod unverified;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::failure::{Failure, Result};

const FILE_SIZE: u64 = 4 << 20;
/// Files of one `certs.d` directory.
const FILES: usize = 64;

/// The certificates of this machine.
#[derive(Debug)]
pub(crate) struct Certificates {
    provider: Arc<CryptoProvider>,
    /// The system's authorities; read when the first host needs them.
    system: OnceLock<RootCertStore>,
    /// `certs.d` directories.
    directories: Vec<PathBuf>,
    /// From the configuration file.
    configured: BTreeMap<String, Vec<PathBuf>>,
}

impl Certificates {
    pub(crate) fn new(directories: Vec<PathBuf>, configured: BTreeMap<String, Vec<PathBuf>>) -> Self {
        Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            system: OnceLock::new(),
            directories,
            configured,
        }
    }

    /// For a host that goes by any of `names` (`host`, `host:port`).
    pub(crate) fn for_host(&self, names: &[String]) -> Result<HostCertificates> {
        let mut found = HostCertificates { authorities: Vec::new(), identity: None };
        for name in names {
            for path in self.configured.get(name).into_iter().flatten() {
                found.authorities.extend(read_certificates(path)?);
            }
            for directory in &self.directories {
                found.read_directory(&directory.join(name))?;
            }
        }
        Ok(found)
    }

    pub(crate) fn client_config(&self, host: &HostCertificates, insecure: bool) -> Result<Arc<ClientConfig>> {
        let versions = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::refused(format!("cannot set up TLS: {error}")))?;
        let verified = if insecure && host.authorities.is_empty() {
            let verifier = unverified::Unverified(self.provider.clone());
            versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        } else {
            let mut roots = self.system().clone();
            roots.add_parsable_certificates(host.authorities.iter().cloned());
            versions.with_root_certificates(roots)
        };
        let config = match &host.identity {
            None => verified.with_no_client_auth(),
            Some((chain, key)) => verified
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| Failure::refused(format!("cannot use the client certificate: {error}")))?,
        };
        Ok(Arc::new(config))
    }

    fn system(&self) -> &RootCertStore {
        self.system.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            // What cannot be read vouches for nobody; the handshake then says that the issuer is unknown.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        })
    }
}

/// What is configured for one host.
#[derive(Debug)]
pub(crate) struct HostCertificates {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl HostCertificates {
    /// Somebody vouches for this very host: it speaks TLS, and nothing else will do.
    pub(crate) fn demand_tls(&self) -> bool {
        !self.authorities.is_empty()
    }

    fn read_directory(&mut self, directory: &Path) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(directory) else { return Ok(()) };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.into_iter().take(FILES) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => self.authorities.extend(read_certificates(&path)?),
                Some("cert") if self.identity.is_none() => {
                    let key = path.with_extension("key");
                    let key = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(unusable(&key))?;
                    self.identity = Some((read_certificates(&path)?, key));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(unusable(path))?;
    if certificates.is_empty() {
        return Err(unusable(path)("it holds no certificate in PEM form"));
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_SIZE).read_to_end(&mut bytes))
        .map_err(unusable(path))?;
    Ok(bytes)
}

fn unusable<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Failure {
    move |error| Failure::refused(format!("cannot use the certificate file {}: {error}", path.display()))
}

//! The client against servers of this process: honest ones, and hostile ones that are refused by name.

mod auth;
mod download;
mod hostile;
mod login;
mod mirrors;
mod proxies;
mod pull;
mod push;
mod redirects;
mod search;
mod server;
mod tls;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox_image::{Digest, Origin, Reference, RemoteBlob, RemoteError};

use crate::client::Surroundings;
use crate::config::Insecure;
use crate::dns::{Lookup, LookupError};
use crate::proxy::Proxies;
use crate::{Access, Client, Credentials, RegistriesConfig, Repository};

pub(super) const MANIFEST: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const BLOB: &[u8] = b"0123456789";

/// A registry on the internet, as far as its name tells: it is here, and somewhere else too.
pub(super) const PUBLIC: &str = "public.test";

#[derive(Debug)]
struct Names(HashMap<&'static str, Vec<IpAddr>>);

impl Lookup for Names {
    fn lookup(&self, host: &str, _deadline: Instant) -> Result<Vec<IpAddr>, LookupError> {
        self.0.get(host).cloned().ok_or(LookupError::UnknownHost)
    }
}

/// A client for tests, with what it needs to live.
pub(super) struct Fixture {
    pub(super) client: Client,
    /// Holds `config.json` and `certs.d`.
    pub(super) directory: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new(configure: impl FnOnce(&mut RegistriesConfig)) -> Self {
        Self::with_directory(tempfile::tempdir().unwrap(), configure)
    }

    pub(super) fn with_directory(
        directory: tempfile::TempDir,
        configure: impl FnOnce(&mut RegistriesConfig),
    ) -> Self {
        Self::behind(Proxies::default(), directory, configure)
    }

    pub(super) fn behind(
        proxies: Proxies,
        directory: tempfile::TempDir,
        configure: impl FnOnce(&mut RegistriesConfig),
    ) -> Self {
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let elsewhere: IpAddr = "203.0.113.7".parse().unwrap();
        let names = Names(HashMap::from([
            ("localhost", vec![here]),
            ("other.test", vec![here]),
            ("registry.test", vec![here]),
            (PUBLIC, vec![here, elsewhere]),
            ("metadata.test", vec!["169.254.169.254".parse().unwrap()]),
        ]));
        let surroundings = Surroundings {
            certificates: vec![directory.path().join("certs.d")],
            lookup: Arc::new(names),
            proxies,
        };
        let insecure = |name: &str| Insecure::Host { name: name.to_owned(), port: None };
        let mut config = RegistriesConfig { insecure: vec![insecure(PUBLIC)], ..RegistriesConfig::default() };
        configure(&mut config);
        let credentials = Credentials::in_directory(directory.path()).with_helpers_in(directory.path());
        let mut client = Client::within(surroundings, config, credentials);
        client.patience.pause = Duration::from_millis(1);
        Self { client, directory }
    }

    pub(super) fn repository(&self, reference: &str, access: Access) -> Repository {
        self.client.repository(&reference.parse::<Reference>().unwrap(), access)
    }

    pub(super) fn pull(&self, reference: &str) -> Repository {
        self.repository(reference, Access::Pull)
    }

    /// Keeps `user:password` for a registry.
    pub(super) fn know(&self, registry: &str, user: &str, password: &str) {
        let credential =
            crate::credentials::Credential::Password { user: user.to_owned(), password: password.to_owned() };
        self.client.credentials.keep(registry, user, &credential).unwrap();
    }
}

/// The first failure counts.
pub(super) fn once(config: &mut RegistriesConfig) {
    config.retries = crate::Retries(0);
}

pub(super) fn blob_digest() -> Digest {
    Digest::sha256(BLOB)
}

pub(super) fn get_blob(repository: &Repository, offset: u64) -> Result<RemoteBlob, RemoteError> {
    repository.blob(&blob_digest(), BLOB.len() as u64, offset)
}

pub(super) fn read(mut blob: RemoteBlob) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    blob.content.read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.to_string())
}

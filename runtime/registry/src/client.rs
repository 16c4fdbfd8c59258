//! The client: what all registries share, and the way to each of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sandbox_image::Reference;

use crate::config::RegistriesConfig;
use crate::credentials::Credentials;
use crate::dns::{Lookup, SystemLookup};
use crate::http::Http;
use crate::proxy::Proxies;
use crate::registry::Registry;
use crate::repository::{Access, Endpoint, Repository};
use crate::retry::Patience;
use crate::tls::Certificates;

/// Directories with a host's certificates, ours and Docker's.
const CERTIFICATES: [&str; 2] = ["/etc/sandbox/certs.d", "/etc/docker/certs.d"];

/// Speaks to registries. Connections and tokens are kept for as long as the client lives.
pub struct Client {
    pub(crate) config: Arc<RegistriesConfig>,
    pub(crate) credentials: Credentials,
    pub(crate) http: Arc<Http>,
    pub(crate) patience: Patience,
    registries: Mutex<HashMap<String, Arc<Registry>>>,
}

/// What of this machine a client sees; tests show it less.
pub(crate) struct Surroundings {
    pub(crate) certificates: Vec<PathBuf>,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) proxies: Proxies,
}

impl Client {
    /// A client with the credentials of one user. Proxies are those of the environment (`HTTPS_PROXY` and so on).
    pub fn new(config: RegistriesConfig, credentials: Credentials) -> Self {
        let surroundings = Surroundings {
            certificates: CERTIFICATES.iter().map(PathBuf::from).collect(),
            lookup: Arc::new(SystemLookup),
            proxies: Proxies::from_environment(),
        };
        Self::within(surroundings, config, credentials)
    }

    pub(crate) fn within(
        surroundings: Surroundings,
        config: RegistriesConfig,
        credentials: Credentials,
    ) -> Self {
        let config = Arc::new(config);
        let certificates = Certificates::new(surroundings.certificates, config.ca.clone());
        let http = Http::new(config.clone(), certificates, surroundings.lookup, surroundings.proxies);
        Self {
            patience: Patience::new(config.retries.0),
            config,
            credentials,
            http: Arc::new(http),
            registries: Mutex::default(),
        }
    }

    /// The repository that `reference` names. Nothing is asked yet.
    ///
    /// It is pulled from the mirrors that are configured for its domain, then from the domain itself; pushed to the
    /// domain alone.
    pub fn repository(&self, reference: &Reference, access: Access) -> Repository {
        let (domain, path) = (reference.domain(), reference.path());
        let mirrors = match access {
            Access::Pull => self.config.mirrors.get(domain).map_or(&[][..], Vec::as_slice),
            Access::PullPush => &[],
        };
        let mut endpoints: Vec<Endpoint> = mirrors
            .iter()
            .map(|mirror| {
                let prefix = mirror.0.path.trim_matches('/');
                let path = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
                Endpoint { registry: self.mirror(mirror), path }
            })
            .collect();
        if endpoints.is_empty() || !self.config.mirrors_only.iter().any(|only| only == domain) {
            endpoints.push(Endpoint { registry: self.registry(domain), path: path.to_owned() });
        }
        Repository::new(endpoints, reference.familiar_name(), access, self.patience)
    }

    pub(crate) fn registry(&self, domain: &str) -> Arc<Registry> {
        self.remembered(domain.to_owned(), || {
            Registry::of_domain(self.http.clone(), self.credentials.clone(), domain)
        })
    }

    pub(crate) fn mirror(&self, mirror: &crate::config::Mirror) -> Arc<Registry> {
        let origin = mirror.0.origin.clone();
        self.remembered(origin.to_string(), || {
            Registry::at(self.http.clone(), self.credentials.clone(), origin.clone())
        })
    }

    fn remembered(&self, name: String, make: impl FnOnce() -> Registry) -> Arc<Registry> {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        registries.entry(name).or_insert_with(|| Arc::new(make())).clone()
    }

    /// After `login` and `logout`: what was learnt with other credentials does not count.
    pub(crate) fn forget(&self) {
        self.registries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

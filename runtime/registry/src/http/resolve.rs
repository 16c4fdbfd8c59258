//! Addresses for connections, checked where they are used: what was looked up here is what gets connected to, so that a
//! name cannot change its mind in between (DNS rebinding).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sandbox_image::RemoteErrorKind::Refused;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::dns::{Lookup, LookupError};
use crate::failure::Failure;
use crate::reach::{Farthest, Reach};

/// The most that ureq takes.
const ADDRESSES: usize = 16;
const LIFETIME: Duration = Duration::from_mins(1);
const NAMES: usize = 256;
/// A lookup that nobody bounds otherwise.
const PATIENCE: Duration = Duration::from_secs(15);

/// Finds the addresses for one host's connections.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) lookup: Arc<dyn Lookup>,
    /// How near the one is who named this host; none if a person did.
    pub(super) named_by: Option<Reach>,
    pub(super) farthest: Arc<Farthest>,
    /// Host and port of the proxy, which a person named.
    pub(super) proxy: Option<(String, u16)>,
}

impl Resolver for Addresses {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_proxy = self.proxy.as_ref().is_some_and(|(proxy, port)| {
            proxy.trim_matches(['[', ']']).eq_ignore_ascii_case(host)
                && uri.port_u16().is_none_or(|its| its == *port)
        });
        let secure = uri.scheme_str() == Some("https");
        let port = match uri.port_u16() {
            Some(port) => port,
            None if is_proxy => self.proxy.as_ref().map_or(0, |(_, port)| *port),
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
        };
        let patience = timeout.not_zero().map_or(PATIENCE, |timeout| (*timeout).min(PATIENCE));
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self
                .lookup
                .lookup(host, Instant::now() + patience)
                .map_err(|error| failed(not_found(host, &error)))?,
        };
        if !is_proxy {
            for address in &found {
                self.check(host, *address)?;
            }
        }
        let mut addresses = self.empty();
        // Connections are tried in turn: a host with broken IPv6 must not wait for it.
        let (four, six): (Vec<_>, Vec<_>) = found.into_iter().partition(IpAddr::is_ipv4);
        for address in four.into_iter().chain(six).take(ADDRESSES) {
            addresses.push(SocketAddr::new(address, port));
        }
        Ok(addresses)
    }
}

impl Addresses {
    fn check(&self, host: &str, address: IpAddr) -> Result<(), ureq::Error> {
        let reach = Reach::of(address);
        match self.named_by {
            Some(by) if !by.may_name(reach) => Err(failed(Failure::refused(format!(
                "the registry sends us to {}, {}",
                if host == address.to_string() { host.to_owned() } else { format!("{host} ({address})") },
                reach.describe()
            )))),
            _ => {
                self.farthest.see(reach);
                Ok(())
            }
        }
    }
}

fn not_found(host: &str, error: &LookupError) -> Failure {
    let failure = Failure::unreachable(format!("cannot find {host}: {error}"));
    match error {
        LookupError::Unanswered(_) => failure,
        // Nor will it be found in a second.
        _ => Failure { kind: Refused, ..failure },
    }
}

fn failed(failure: Failure) -> ureq::Error {
    ureq::Error::Other(Box::new(failure))
}

/// Remembers what was found for a minute.
#[derive(Debug)]
pub(super) struct Remembered {
    lookup: Arc<dyn Lookup>,
    found: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

impl Remembered {
    pub(super) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, found: Mutex::default() }
    }
}

impl Lookup for Remembered {
    fn lookup(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, LookupError> {
        let host = host.to_ascii_lowercase();
        let now = Instant::now();
        let known = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, addresses)) = known().get(&host)
            && *until > now
        {
            return Ok(addresses.clone());
        }
        let addresses = self.lookup.lookup(&host, deadline)?;
        let mut found = known();
        found.retain(|_, (until, _)| *until > now);
        if found.len() < NAMES {
            found.insert(host, (now + LIFETIME, addresses.clone()));
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Far at first, then here.
    #[derive(Debug, Default)]
    struct Rebinding(AtomicUsize);

    impl Lookup for Rebinding {
        fn lookup(&self, _host: &str, _deadline: Instant) -> Result<Vec<IpAddr>, LookupError> {
            let first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
            Ok(vec![if first { [203, 0, 113, 7] } else { [127, 0, 0, 1] }.into()])
        }
    }

    fn resolve(addresses: &Addresses, uri: &str) -> Result<Vec<SocketAddr>, String> {
        let found = addresses.resolve(
            &uri.parse().unwrap(),
            &ureq::config::Config::default(),
            NextTimeout::default(),
        );
        found.map(|found| found.to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_connected_to_is_what_was_checked() {
        let mut addresses = Addresses {
            lookup: Arc::<Rebinding>::default(),
            named_by: Some(Reach::Public),
            farthest: Arc::new(Farthest::unknown()),
            proxy: None,
        };
        let far: SocketAddr = "203.0.113.7:443".parse().unwrap();
        assert_eq!(resolve(&addresses, "https://rebind.test/").unwrap(), [far]);
        let error = resolve(&addresses, "https://rebind.test/").unwrap_err();
        assert!(error.contains("rebind.test (127.0.0.1), an address of this machine"), "{error}");
        addresses.named_by = None;
        assert!(resolve(&addresses, "https://rebind.test/").is_ok());
        assert_eq!(addresses.farthest.get(), Reach::Public, "a name that was far once stays far");
    }

    #[test]
    fn is_remembered() {
        let remembered = Remembered::new(Arc::<Rebinding>::default());
        let found = || remembered.lookup("x", Instant::now()).unwrap();
        assert_eq!(found(), found());
    }
}

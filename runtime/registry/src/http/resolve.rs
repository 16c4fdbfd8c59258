//! Addresses for connections, checked where they are used: what was looked up here is what gets connected to, so that a
//! name cannot change its mind in between (DNS rebinding).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
                .map_err(|error| failed(Failure::unreachable(format!("cannot find {host}: {error}"))))?,
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

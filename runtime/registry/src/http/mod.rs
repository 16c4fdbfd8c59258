//! HTTP exchanges with registries and whom they name.
//!
//! ureq brings HTTP/1.1 with bounds on headers and on waiting; addresses, TLS, proxies and redirects are ours. Each
//! host has connections of its own, kept apart by who named it, so that a connection made for one purpose never
//! serves another.

pub(crate) mod body;
pub(crate) mod fault;
mod message;
mod redirect;
mod refusal;
mod resolve;
mod transport;

pub(crate) use message::{Answer, Opener, Patience, Payload, Request};
pub(crate) use redirect::named;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{HeaderValue, Method, Response, header};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, SocksConnector, TcpConnector};
use ureq::{Agent, AsSendBody, Body, SendBody};

use crate::config::{RegistriesConfig, Timeouts};
use crate::dns::Lookup;
use crate::failure::{Failure, Result};
use crate::proxy::Proxies;
use crate::reach::{Farthest, Reach};
use crate::tls::Certificates;
use crate::url::{Origin, Scheme, Url};

/// Of an answer. No registry comes near it.
const HEADER_SIZE: usize = 64 * 1024;
/// Hosts that a process talks to: registries, their token services and storage.
const HOSTS: usize = 256;
/// From this size on a registry may say no before it gets everything.
const EXPECT_FROM: u64 = 1 << 20;
const COMMIT: Duration = Duration::from_mins(5);
const USER_AGENT: &str = concat!("sandbox/", env!("CARGO_PKG_VERSION"));

/// Talks to hosts.
#[derive(Debug)]
pub(crate) struct Http {
    config: Arc<RegistriesConfig>,
    certificates: Certificates,
    lookup: Arc<dyn Lookup>,
    proxies: Proxies,
    hosts: Mutex<HashMap<HostKey, Arc<Host>>>,
}

/// A host, and how near the one is who named it; none if a person did.
type HostKey = (Origin, Option<Reach>);

#[derive(Debug)]
struct Host {
    agent: Agent,
    farthest: Arc<Farthest>,
}

impl Http {
    pub(crate) fn new(
        config: Arc<RegistriesConfig>,
        certificates: Certificates,
        lookup: Arc<dyn Lookup>,
        proxies: Proxies,
    ) -> Self {
        let lookup = Arc::new(resolve::Remembered::new(lookup));
        Self { config, certificates, lookup, proxies, hosts: Mutex::default() }
    }

    /// The longest time between two pieces of a blob.
    pub(crate) fn idle(&self) -> Duration {
        self.config.timeouts.idle
    }

    /// May the host be spoken to without TLS?
    pub(crate) fn is_insecure(&self, origin: &Origin) -> Result<bool> {
        if self.certificates.for_host(&names(origin))?.demand_tls() {
            return Ok(false);
        }
        let deadline = Instant::now() + self.config.timeouts.connect;
        let addresses: Vec<IpAddr> = match origin.address() {
            Some(address) => vec![address],
            None if self.config.has_insecure_networks() && self.proxies.for_origin(origin)?.is_none() => {
                self.lookup.lookup(&origin.host, deadline).unwrap_or_default()
            }
            None => Vec::new(),
        };
        Ok(self.config.is_insecure(&origin.host, origin.port, &addresses))
    }

    /// One exchange, without redirects. `named_by` tells how near the one is who named the URL's host, or that a
    /// person did.
    fn exchange(
        &self,
        request: &Request<'_>,
        url: &Url,
        authorization: Option<&HeaderValue>,
        named_by: Option<Reach>,
    ) -> Result<Answer> {
        let host = self.host(&url.origin, named_by)?;
        let mut builder = ureq::http::Request::builder().method(request.method.clone()).uri(url.to_string());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(authorization) = authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        let response = match &request.payload {
            Payload::None if request.method != Method::POST => self.run(&host, builder, (), request.patience),
            Payload::None | Payload::Bytes(_) => {
                let mut bytes = if let Payload::Bytes(bytes) = request.payload { bytes } else { &[] };
                builder = builder.header(header::CONTENT_LENGTH, bytes.len());
                self.run(&host, builder, SendBody::from_reader(&mut bytes), request.patience)
            }
            Payload::Content { size, open } => {
                let content = open()
                    .map_err(|error| Failure::refused(format!("cannot read what is to be sent: {error}")))?;
                builder = builder.header(header::CONTENT_LENGTH, *size);
                if *size >= EXPECT_FROM {
                    builder = builder.header(header::EXPECT, "100-continue");
                }
                let mut exact = body::Exactly::new(content, *size);
                self.run(&host, builder, SendBody::from_reader(&mut exact), Patience::Commit)
            }
        };
        let response = response.map_err(|error| fault::failure(error, &url.origin))?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            url: url.clone(),
            status: parts.status,
            headers: parts.headers,
            body,
            streams: matches!(request.patience, Patience::Stream { .. }),
            until: Instant::now() + self.config.timeouts.answer,
            reach: host.farthest.get(),
        })
    }

    fn run(
        &self,
        host: &Host,
        message: ureq::http::request::Builder,
        payload: impl AsSendBody,
        patience: Patience,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let Timeouts { answer, idle, .. } = self.config.timeouts;
        // A registry may have to look at a whole blob before it takes it.
        let (answer, idle) = if patience == Patience::Commit {
            (answer.max(COMMIT), idle.max(COMMIT))
        } else {
            (answer, idle)
        };
        let message = host
            .agent
            .configure_request(message.body(payload)?)
            .timeout_recv_response(Some(answer))
            .timeout_per_read(Some(idle))
            .timeout_recv_body(Some(match patience {
                Patience::Stream { size } => body::longest(size, idle),
                _ => answer,
            }))
            .build();
        host.agent.run(message)
    }

    fn host(&self, origin: &Origin, named_by: Option<Reach>) -> Result<Arc<Host>> {
        let key = (origin.clone(), named_by);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key) {
            return Ok(host.clone());
        }
        drop(hosts);
        let host = Arc::new(self.new_host(origin, named_by)?);
        hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS {
            hosts.clear();
        }
        Ok(hosts.entry(key).or_insert(host).clone())
    }

    fn new_host(&self, origin: &Origin, named_by: Option<Reach>) -> Result<Host> {
        let proxy = self.proxies.for_origin(origin)?;
        let farthest = Arc::new(Farthest::unknown());
        if let Some(address) = origin.address() {
            // Through a proxy nothing is looked up, but an address is what it is.
            let reach = Reach::of(address);
            if named_by.is_some_and(|by| !by.may_name(reach)) {
                let (address, what) = (&origin.host, reach.describe());
                return Err(Failure::refused(format!("the registry sends us to {address}, {what}")));
            }
            farthest.see(reach);
        }
        let config = match origin.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let certificates = self.certificates.for_host(&names(origin))?;
                let insecure = self.is_insecure(origin)?;
                Some(self.certificates.client_config(&certificates, insecure)?)
            }
        };
        let addresses = resolve::Addresses {
            lookup: self.lookup.clone(),
            named_by,
            farthest: farthest.clone(),
            proxy: proxy.as_ref().map(|proxy| (proxy.host().to_owned(), proxy.port())),
        };
        let timeouts = self.config.timeouts;
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(USER_AGENT)
            .max_response_header_size(HEADER_SIZE)
            .max_idle_connections_per_host(8)
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_send_request(Some(timeouts.idle))
            .timeout_recv_response(Some(timeouts.answer))
            .timeout_per_read(Some(timeouts.idle))
            .timeout_per_write(Some(timeouts.idle))
            .build();
        let connector =
            ().chain(SocksConnector::default())
                .chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(transport::TlsConnector { config });
        Ok(Host { agent: Agent::with_parts(settings, connector, addresses), farthest })
    }
}

/// By which a host's certificates may be configured.
fn names(origin: &Origin) -> Vec<String> {
    let host = if origin.host.contains(':') { format!("[{}]", origin.host) } else { origin.host.clone() };
    let mut names = vec![format!("{host}:{}", origin.port), host];
    if origin.authority() != names[1] {
        // Another port is another registry.
        names.truncate(1);
    }
    names
}

//! Proxies, from the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, in either case.
//!
//! `NO_PROXY` has the meaning that Go gives it, as people have set it up for Docker: names with their subdomains,
//! addresses, networks, each with an optional port, or `*`. This machine itself is never spoken to through a proxy.

use std::net::IpAddr;

use ipnet::IpNet;
use ureq::Proxy;

use crate::dns::is_localhost;
use crate::failure::{Failure, Result};
use crate::url::{Origin, Scheme, split_authority};

#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Setting>,
    https: Option<Setting>,
    exceptions: Vec<Exception>,
}

#[derive(Clone, Debug)]
struct Setting {
    variable: &'static str,
    /// None: the variable's value is no proxy's address. It may hold a password and is not kept.
    proxy: Option<Proxy>,
}

#[derive(Clone, Debug)]
enum Exception {
    Everything,
    Network(IpNet),
    Host {
        name: String,
        /// `.example.com`: not `example.com` itself.
        only_below: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    pub(crate) fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    pub(crate) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = variable(name).filter(|value| !value.trim().is_empty())?;
                Some(Setting { variable: name, proxy: Proxy::new(value.trim()).ok() })
            })
        };
        let exceptions = variable("NO_PROXY").or_else(|| variable("no_proxy")).unwrap_or_default();
        Self {
            http: first(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            https: first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            exceptions: exceptions.split([',', ' ']).filter_map(Exception::parse).collect(),
        }
    }

    /// The proxy to reach `origin` through, if any.
    pub(crate) fn for_origin(&self, origin: &Origin) -> Result<Option<Proxy>> {
        let setting = match origin.scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        let Some(setting) = setting else { return Ok(None) };
        let here =
            is_localhost(&origin.host) || origin.address().is_some_and(|address| address.is_loopback());
        if here || self.exceptions.iter().any(|exception| exception.matches(origin)) {
            return Ok(None);
        }
        let invalid = || {
            Failure::refused(format!(
                "the environment variable {} is not the address of a proxy, such as http://proxy.example:3128",
                setting.variable
            ))
        };
        setting.proxy.clone().map(Some).ok_or_else(invalid)
    }
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::Everything);
        }
        if let Ok(network) = text.parse() {
            return Some(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Network(address.into()));
        }
        let text = text.strip_prefix('*').unwrap_or(text);
        let (name, port) = split_authority(text.strip_prefix('.').unwrap_or(text))?;
        Some(Self::Host { name, only_below: text.starts_with('.'), port })
    }

    fn matches(&self, origin: &Origin) -> bool {
        match self {
            Self::Everything => true,
            Self::Network(network) => origin.address().is_some_and(|address| network.contains(&address)),
            Self::Host { name, only_below, port } => {
                let host = origin.host.trim_end_matches('.');
                let below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (below || (!only_below && host == name)) && port.is_none_or(|port| port == origin.port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::Url;

    fn proxies(variables: &'static [(&str, &str)]) -> Proxies {
        Proxies::from_variables(|wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxy(proxies: &Proxies, url: &str) -> Option<String> {
        let proxy = proxies.for_origin(&Url::parse(url).unwrap().origin).unwrap()?;
        Some(format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn follows_the_environment() {
        let set = proxies(&[
            ("HTTPS_PROXY", "http://user:pass@secure.example:3128"),
            ("http_proxy", "plain.example:8080"),
            ("NO_PROXY", "corp.example, .below.example,10.0.0.0/8,1.2.3.4,x.io:5000"),
        ]);
        for (url, expected) in [
            ("https://registry.io", Some("secure.example:3128")),
            ("http://registry.io", Some("plain.example:8080")),
            ("https://corp.example", None),
            ("https://a.corp.example", None),
            ("https://notcorp.example", Some("secure.example:3128")),
            ("https://below.example", Some("secure.example:3128")),
            ("https://a.below.example", None),
            ("https://10.9.9.9", None),
            ("https://1.2.3.4:9", None),
            ("https://x.io:5000", None),
            ("https://x.io", Some("secure.example:3128")),
            ("http://localhost:5000", None),
            ("http://127.0.0.1:5000", None),
            ("http://[::1]:5000", None),
        ] {
            assert_eq!(proxy(&set, url).as_deref(), expected, "{url}");
        }
        assert_eq!(proxy(&proxies(&[]), "https://x.io"), None);
        let all = proxies(&[("ALL_PROXY", "socks5h://s.example"), ("NO_PROXY", "*")]);
        assert_eq!(proxy(&all, "https://x.io"), None);
    }

    #[test]
    fn names_the_variable_that_is_wrong() {
        let set = proxies(&[("HTTPS_PROXY", "ftp://secret@x")]);
        let message = set.for_origin(&Url::parse("https://x.io").unwrap().origin).unwrap_err().message;
        assert!(message.contains("HTTPS_PROXY") && !message.contains("secret"), "{message}");
    }
}

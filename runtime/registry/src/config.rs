//! The section `[registries]` of the configuration file.
//!
//! ```toml
//! [registries]
//! # Hosts (`name`, `name:port`) and networks that may be spoken to without TLS, or with a certificate that nobody
//! # vouches for. This machine's own addresses always may.
//! insecure = ["registry.lan:5000", "10.0.0.0/8"]
//! # Domains that are only ever pulled from their mirrors.
//! mirrors-only = ["docker.io"]
//! # How often a request that failed for the moment is tried again.
//! retries = 4
//!
//! # Where to pull from before the domain itself is asked, in order. A path is a prefix of the repository's name.
//! [registries.mirrors]
//! "docker.io" = ["http://127.0.0.1:5000", "https://harbor.example/hub"]
//!
//! # Certificates of authorities (PEM) for one host, besides those of the system.
//! [registries.ca]
//! "registry.lan:5000" = ["/etc/ssl/private-ca.pem"]
//!
//! # In seconds: for a connection, for the beginning of an answer, between two pieces of a blob.
//! [registries.timeouts]
//! connect = 15
//! answer = 60
//! idle = 30
//! ```
//!
//! What is shown is the default, but for the names. A key that is not listed here is an error: a misspelt one would
//! silently have no effect.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::dns::is_localhost;
use crate::url::{Url, split_authority};

/// Where the configuration is, unless the caller says otherwise.
pub const CONFIG_FILE: &str = "/etc/sandbox/config.toml";
const FILE_SIZE: u64 = 1 << 20;

/// Why a configuration file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The parser's message shows the line.
    #[error("invalid configuration {path}: {message}")]
    Invalid { path: PathBuf, message: String },
}

/// How registries are spoken to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistriesConfig {
    /// Where to pull a domain's repositories from before the domain itself is asked.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// Domains that are only pulled from their mirrors.
    pub mirrors_only: Vec<String>,
    /// Hosts that need no TLS, or none that anybody vouches for.
    pub insecure: Vec<Insecure>,
    /// Certificates of authorities for one host (`host` or `host:port`).
    pub ca: BTreeMap<String, Vec<PathBuf>>,
    pub timeouts: Timeouts,
    pub retries: Retries,
}

/// Bounds on waiting.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Timeouts {
    /// For finding a host, connecting and agreeing on keys.
    #[serde(deserialize_with = "seconds")]
    pub connect: Duration,
    /// For an answer to begin, and for a small one to be complete.
    #[serde(deserialize_with = "seconds")]
    pub answer: Duration,
    /// Between two pieces of a blob, in either direction.
    #[serde(deserialize_with = "seconds")]
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_mins(1),
            idle: Duration::from_secs(30),
        }
    }
}

/// How often a request that failed for the moment is tried again.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "u32")]
pub struct Retries(pub(crate) u32);

impl Default for Retries {
    fn default() -> Self {
        Self(4)
    }
}

impl TryFrom<u32> for Retries {
    type Error = String;

    fn try_from(retries: u32) -> Result<Self, String> {
        if retries <= 20 { Ok(Self(retries)) } else { Err("retries: at most 20".to_owned()) }
    }
}

/// Another place that has the same repositories.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Mirror(pub(crate) Url);

impl TryFrom<String> for Mirror {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url = Url::parse(&text).map_err(|error| format!("mirror {error}"))?;
        if url.path.contains('?') {
            return Err(format!("mirror {text:?} has a query"));
        }
        Ok(Self(url))
    }
}

/// A host or a network whose registries need no TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub enum Insecure {
    Host { name: String, port: Option<u16> },
    Network(IpNet),
}

impl TryFrom<String> for Insecure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        let (name, port) = split_authority(&text).ok_or_else(|| {
            format!("insecure {text:?}: write a host, host:port or a network such as 10.0.0.0/8")
        })?;
        Ok(Self::Host { name, port })
    }
}

impl RegistriesConfig {
    /// The section `[registries]` of a file whose other sections belong to others; the defaults if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has keys that mean nothing.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(default)]
            registries: RegistriesConfig,
        }
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        match std::fs::File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file.and_then(|file| file.take(FILE_SIZE).read_to_string(&mut text)).map_err(read)?,
        };
        let invalid = |message| ConfigError::Invalid { path: path.to_owned(), message };
        let document: Document = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        document.registries.checked().map_err(invalid)
    }

    /// Refuses what parses and still cannot work.
    fn checked(self) -> Result<Self, String> {
        let hosts = self.ca.keys().chain(self.mirrors.keys()).chain(&self.mirrors_only);
        for host in hosts {
            split_authority(host).ok_or_else(|| format!("registries: {host:?} is not a registry's name"))?;
        }
        for domain in &self.mirrors_only {
            if self.mirrors.get(domain).is_none_or(Vec::is_empty) {
                return Err(format!("registries: mirrors-only has {domain:?}, which has no mirror"));
            }
        }
        Ok(self)
    }

    /// Does it take a host's addresses to tell whether it is insecure?
    pub(crate) fn has_insecure_networks(&self) -> bool {
        self.insecure.iter().any(|insecure| matches!(insecure, Insecure::Network(_)))
    }

    /// May `host` be spoken to without TLS? `addresses` are all that it resolves to.
    pub(crate) fn is_insecure(&self, host: &str, port: u16, addresses: &[IpAddr]) -> bool {
        let all = |matches: &dyn Fn(&IpAddr) -> bool| !addresses.is_empty() && addresses.iter().all(matches);
        let local = is_localhost(host) || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        local
            || self.insecure.iter().any(|insecure| match insecure {
                Insecure::Host { name, port: None } => name == host,
                Insecure::Host { name, port: Some(its) } => name == host && *its == port,
                Insecure::Network(network) => all(&|address| network.contains(address)),
            })
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    let day = 24.0 * 60.0 * 60.0;
    if (0.001..=day).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(serde::de::Error::custom("a time is between 0.001 seconds and a day"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<RegistriesConfig, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        RegistriesConfig::load(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_everything_and_leaves_other_sections_alone() {
        let config = load(
            r#"
            [network]
            pool = "10.0.0.0/8"
            [registries]
            insecure = ["Registry.lan:5000", "10.0.0.0/8", "fd00::1", "plain"]
            mirrors-only = ["docker.io"]
            retries = 2
            [registries.mirrors]
            "docker.io" = ["http://127.0.0.1:5000", "https://harbor.example/hub/"]
            [registries.ca]
            "registry.lan:5000" = ["/ca.pem"]
            [registries.timeouts]
            idle = 0.5
            connect = 3
            "#,
        )
        .unwrap();
        assert_eq!(config.mirrors["docker.io"][1].0.to_string(), "https://harbor.example/hub/");
        assert_eq!(config.timeouts.idle, Duration::from_millis(500));
        assert_eq!(config.timeouts.answer, Timeouts::default().answer);
        assert_eq!(config.retries, Retries(2));
        for (host, port, addresses, expected) in [
            ("registry.lan", 5000, vec![], true),
            ("registry.lan", 5001, vec![], false),
            ("plain", 1, vec![], true),
            ("other", 1, vec!["10.1.1.1"], true),
            ("other", 1, vec!["10.1.1.1", "11.1.1.1"], false),
            ("other", 1, vec![], false),
            ("localhost", 1, vec![], true),
            ("127.9.9.9", 1, vec![], true),
            ("::1", 1, vec![], true),
            ("localhost.evil.io", 1, vec![], false),
        ] {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(config.is_insecure(host, port, &addresses), expected, "{host}:{port}");
        }
    }

    #[test]
    fn a_missing_file_means_the_defaults() {
        let config = RegistriesConfig::load(Path::new("/nonexistent/config.toml")).unwrap();
        assert!(config.mirrors.is_empty() && config.insecure.is_empty());
        assert_eq!(config.retries, Retries(4));
        assert!(load("").is_ok());
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, part) in [
            ("[registries]\nmiror = 1", "miror"),
            ("[registries.timeouts]\nreed = 1", "reed"),
            ("[registries.timeouts]\nidle = 0", "between 0.001 seconds and a day"),
            ("[registries]\nretries = 1000", "at most 20"),
            ("[registries]\ninsecure = [\"a b\"]", "a b"),
            ("[registries.mirrors]\n\"docker.io\" = [\"ftp://x\"]", "neither http nor https"),
            ("[registries.mirrors]\n\"docker.io\" = [\"https://u:p@x\"]", "carries a user name"),
            ("[registries]\nmirrors-only = [\"x.io\"]", "x.io"),
            ("[registries.ca]\n\"http://x\" = []", "http://x"),
            ("[registries", "config.toml"),
        ] {
            let message = load(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

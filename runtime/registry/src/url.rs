//! Absolute http(s) addresses, and what a `Location` makes of them (RFC 3986, 5.2).
//!
//! Refused: other schemes, user information, hosts that are neither a name nor an address, and anything but visible
//! ASCII. What is shown to people lacks the query, which carries signatures of storage services.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::http::Uri;

use crate::text::printable;

/// Storage services sign their addresses at length.
const LENGTH: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Whom a URL speaks to. Credentials for one origin are for no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// Lower case; an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    /// The address, if the host is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `host[:port]`, the port if it is not the scheme's.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }

    /// A URL of this origin; `path` begins with a slash.
    pub(crate) fn at(&self, path: &str) -> Url {
        Url { origin: self.clone(), path: path.to_owned() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Url {
    pub(crate) origin: Origin,
    /// Path and query, beginning with a slash.
    pub(crate) path: String,
}

/// Why a text is no URL that will be followed.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} {reason}")]
pub(crate) struct BadUrl {
    text: String,
    reason: &'static str,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, BadUrl> {
        let bad = |reason| BadUrl { text: shown(text), reason };
        if text.len() > LENGTH {
            return Err(bad("is longer than 16 KiB"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("has characters that no URL has"));
        }
        let (scheme, rest) = match split_scheme(text) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some(_) => return Err(bad("is neither http nor https")),
            None => return Err(bad("is not an absolute URL")),
        };
        let rest = rest.strip_prefix("//").ok_or_else(|| bad("is not an absolute URL"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad("carries a user name"));
        }
        let (host, port) = split_authority(authority).ok_or_else(|| bad("has no valid host"))?;
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let origin = Origin { scheme, host, port: port.unwrap_or(scheme.port()) };
        let url = Self { origin, path };
        // What comes later takes this URL for granted.
        url.to_string().parse::<Uri>().map_err(|_| bad("has characters that no URL has"))?;
        Ok(url)
    }

    /// Where `location`, sent with an answer of this URL, leads.
    pub(crate) fn join(&self, location: &str) -> Result<Self, BadUrl> {
        if split_scheme(location).is_some() {
            return Self::parse(location);
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let base = self.origin.to_string();
        Self::parse(&match location.as_bytes() {
            [b'/', b'/', ..] => format!("{}:{location}", self.origin.scheme.name()),
            [b'/', ..] => format!("{base}{location}"),
            [] | [b'#', ..] => format!("{base}{}", self.path),
            [b'?', ..] => format!("{base}{path}{location}"),
            _ => format!("{base}{}/{location}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
        })
    }

    /// This URL with one more parameter; `name` and `value` need no escapes.
    pub(crate) fn with_query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        let _ = write!(self.path, "{name}={value}");
        self
    }

    /// Without the query, for messages.
    pub(crate) fn shown(&self) -> String {
        shown(&self.to_string())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// `text` as a value in a query or form.
pub(crate) fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

fn shown(text: &str) -> String {
    printable(text.split(['?', '#']).next().unwrap_or_default(), 200)
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let valid = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    valid.then_some((scheme, rest))
}

/// Host and port of `host[:port]`; none if it is not that.
pub(crate) fn split_authority(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => (authority.get(..colon)?, authority.get(colon + 1..)),
        _ => (authority, None),
    };
    let port = match port {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return Some((address.parse::<Ipv6Addr>().ok()?.to_string(), port));
    }
    let host = host.to_ascii_lowercase();
    let valid = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && !is_number_in_disguise(&host);
    valid.then_some((host, port))
}

/// `127.1`, `0x7f.1` or `2130706433`: addresses for some, names for others.
fn is_number_in_disguise(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let numeric = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    numeric && host.parse::<Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn reads_what_registries_have() {
        for (text, expected, authority) in [
            ("https://Registry-1.Docker.io/v2/", "https://registry-1.docker.io/v2/", "registry-1.docker.io"),
            ("http://localhost:5000", "http://localhost:5000/", "localhost:5000"),
            ("https://x.io:443/a?b=c#d", "https://x.io/a?b=c", "x.io"),
            ("http://[::1]:5000/v2/?x", "http://[::1]:5000/v2/?x", "[::1]:5000"),
            ("https://10.0.0.1?x=1", "https://10.0.0.1/?x=1", "10.0.0.1"),
        ] {
            let url = url(text);
            assert_eq!((url.to_string().as_str(), url.origin.authority().as_str()), (expected, authority));
        }
    }

    #[test]
    fn follows_locations() {
        let base = url("https://x.io/v2/a/blobs/uploads/?s=1");
        for (location, expected) in [
            ("https://y.io/z", "https://y.io/z"),
            ("//y.io/z", "https://y.io/z"),
            ("/z?q=1", "https://x.io/z?q=1"),
            ("?q=1", "https://x.io/v2/a/blobs/uploads/?q=1"),
            ("uuid", "https://x.io/v2/a/blobs/uploads/uuid"),
            ("", "https://x.io/v2/a/blobs/uploads/?s=1"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn refuses_by_name() {
        let base = url("https://x.io/v2/");
        for (location, reason) in [
            ("file:///etc/passwd", "is neither http nor https"),
            ("gopher://x.io/", "is neither http nor https"),
            ("FILE:/etc/passwd", "is neither http nor https"),
            ("https://user:secret@y.io/", "carries a user name"),
            ("https://y.io\\@z.io/", "carries a user name"),
            ("https:///x", "has no valid host"),
            ("https://127.1/", "has no valid host"),
            ("https://2130706433/", "has no valid host"),
            ("https://0x7f000001/", "has no valid host"),
            ("https://[::1/", "has no valid host"),
            ("https://y.io:99999/", "has no valid host"),
            ("https://y.io/\r\nX-Evil: 1", "has characters that no URL has"),
            ("https://y.io/ü", "has characters that no URL has"),
            ("http:x", "is not an absolute URL"),
        ] {
            let message = base.join(location).expect_err(location).to_string();
            assert!(message.contains(reason), "{location}: {message}");
        }
        assert!(base.join(&"a".repeat(20_000)).is_err());
    }

    #[test]
    fn shows_no_signatures() {
        assert_eq!(url("https://s3.io/blob?X-Signature=abc").shown(), "https://s3.io/blob");
        assert!(!Url::parse("ftp://s3.io/blob?secret").unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn escapes_values() {
        assert_eq!(escape("repository:a/b:pull,push"), "repository%3Aa%2Fb%3Apull%2Cpush");
    }
}

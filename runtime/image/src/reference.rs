//! Image references in Docker's grammar: `[domain/]path[:tag][@digest]`.
//!
//! Short names are completed as Docker does: `alpine` is `docker.io/library/alpine`, and a name without tag and
//! digest means `:latest`. The grammar is that of distribution/reference (reference.go and normalize.go).

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::digest::{Digest, clip};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Longest repository name, the domain included.
const NAME_LENGTH: usize = 255;
const TAG_LENGTH: usize = 128;

/// A complete reference: domain and path, and a tag or a digest or both.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Such as `docker.io` or `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Such as `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Always there when no digest is.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path: `docker.io/library/alpine`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The repository as people write it: `alpine`, `user/app`, `ghcr.io/user/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.repository();
        }
        match self.path.strip_prefix(OFFICIAL) {
            // `library/a/b` keeps its prefix: `a/b` alone would mean another repository.
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The reference as people write it: `alpine:latest`.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// A digest says all; a tag beside it is ignored, as in Docker.
    pub(crate) fn without_tag_beside_digest(mut self) -> Self {
        if self.digest.is_some() {
            self.tag = None;
        }
        self
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.repository()))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |reason: &'static str| Error::InvalidReference { text: clip(text), reason };
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        {
            return Err(invalid("a name of 64 hexadecimal digits would be taken for an image id"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (name, tag) = match name.rfind(':') {
            Some(colon) if !name.get(colon..).unwrap_or_default().contains('/') => {
                (name.get(..colon).unwrap_or_default(), name.get(colon + 1..))
            }
            _ => (name, None),
        };
        let (domain, path) = split_domain(name);
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(invalid("invalid tag"));
        }
        if !is_domain(domain) {
            return Err(invalid("invalid registry"));
        }
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid("the repository name must be lowercase"));
        }
        if !path.split('/').all(is_path_component) {
            return Err(invalid("invalid repository name"));
        }
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL}{path}")
        } else {
            path.to_owned()
        };
        if domain.len() + 1 + path.len() > NAME_LENGTH {
            return Err(invalid("the repository name is longer than 255 characters"));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (None, Some(_)) => None,
        };
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }
}

/// The first component is a registry only if it cannot be part of a name: it has a dot or a port, an upper case
/// letter, or it is `localhost`.
fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (if first == LEGACY_DOMAIN { DEFAULT_DOMAIN } else { first }, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    }
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') => (text.get(..colon).unwrap_or_default(), text.get(colon + 1..)),
        _ => (text, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// `[a-z0-9]+ ((\.|_|__|-+) [a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(alphanumeric) || !bytes.last().copied().is_some_and(alphanumeric) {
        return false;
    }
    bytes.split(|byte| alphanumeric(*byte)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= TAG_LENGTH
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn completes_short_names() {
        for (text, canonical, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.22", "docker.io/library/alpine:3.22", "alpine:3.22"),
            ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("user/app", "docker.io/user/app:latest", "user/app:latest"),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            (
                "ghcr.io/a/b.c/d__e/f---g",
                "ghcr.io/a/b.c/d__e/f---g:latest",
                "ghcr.io/a/b.c/d__e/f---g:latest",
            ),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
            ("MyHost/app", "MyHost/app:latest", "MyHost/app:latest"),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), canonical);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(canonical.parse::<Reference>().unwrap(), reference);
        }
    }

    #[test]
    fn keeps_tag_and_digest() {
        let both: Reference = format!("alpine:3.22@sha256:{HEX}").parse().unwrap();
        assert_eq!((both.tag(), both.digest().unwrap().hex()), (Some("3.22"), HEX));
        assert_eq!(both.familiar(), format!("alpine:3.22@sha256:{HEX}"));
        let digest: Reference = format!("alpine@sha256:{HEX}").parse().unwrap();
        assert_eq!(digest.tag(), None, "a digest alone does not mean :latest");
    }

    #[test]
    fn refuses_what_docker_refuses() {
        for text in [
            "",
            ":tag",
            "Alpine",
            "alpine:",
            "alpine:.x",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "-a",
            "a_",
            "a b",
            "../a",
            "a/../b",
            "alpine@sha256:123",
            "alpine@",
            "-x.io/a",
            "x.io:/a",
            "x.io:port/a",
            "[x]:1/a",
            HEX,
            &format!("alpine:{}", "t".repeat(129)),
            &"a/".repeat(128),
            &"a".repeat(250),
            "alpine\0",
            "älpine",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn says_why() {
        let error = "x.io/App".parse::<Reference>().unwrap_err().to_string();
        assert_eq!(error, "invalid reference format: \"x.io/App\": the repository name must be lowercase");
    }
}

//! Platforms (`linux/arm64/v8`) and the choice of one among an index's manifests.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::ImageConfiguration;
use serde::Deserialize;

use crate::Error;
use crate::digest::clip;

/// Operating system, architecture and its variant, in Go's names (OCI image-spec, image-index.md).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform that this machine runs.
    pub fn host() -> Self {
        normalized("linux", std::env::consts::ARCH, None)
    }

    /// Whether an image for `offered` is what is wished for.
    pub fn serves(&self, offered: &Self) -> bool {
        self.rank(offered).is_some()
    }

    /// What an image's config says.
    pub fn of(config: &ImageConfiguration) -> Self {
        Self {
            os: config.os().to_string(),
            architecture: config.architecture().to_string(),
            variant: config.variant().clone(),
        }
    }

    /// How well `offered` serves this wish: `None` not at all, else lower is better.
    pub(crate) fn rank(&self, offered: &Self) -> Option<u8> {
        let offered = normalized(&offered.os, &offered.architecture, offered.variant.as_deref());
        if (&self.os, &self.architecture) != (&offered.os, &offered.architecture) {
            return None;
        }
        match (&self.variant, &offered.variant) {
            (wanted, found) if wanted == found => Some(0),
            // Without a wish the plain one fits best, any other may.
            (None, Some(_)) => Some(1),
            (Some(_), None) => Some(2),
            (Some(_), Some(_)) => None,
            (None, None) => Some(0),
        }
    }
}

/// `v8` is what arm64 means anyway, as `v1` is for amd64.
fn normalized(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
    let os = os.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.to_ascii_lowercase().as_str(), variant.unwrap_or("")) {
        ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64".to_owned(), ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64".to_owned(), variant),
        ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64".to_owned(), ""),
        ("aarch64" | "arm64", variant) => ("arm64".to_owned(), variant),
        ("i386" | "i686" | "x86", variant) => ("386".to_owned(), variant),
        ("armhf" | "armel" | "arm", "") => ("arm".to_owned(), "v7"),
        (other, variant) => (other.to_owned(), variant),
    };
    let variant = (!variant.is_empty()).then(|| variant.to_owned());
    Platform { os, architecture, variant }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `os/architecture[/variant]`, or an architecture alone.
    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if !parts.iter().all(word) {
            return Err(Error::InvalidPlatform { text: clip(text) });
        }
        match parts[..] {
            ["linux"] => Ok(Self::host()),
            [architecture] => Ok(normalized("linux", architecture, None)),
            [os, architecture] => Ok(normalized(os, architecture, None)),
            [os, architecture, variant] => Ok(normalized(os, architecture, Some(variant))),
            _ => Err(Error::InvalidPlatform { text: clip(text) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn parses_and_normalizes() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("Linux/AMD64", "linux/amd64"),
        ] {
            assert_eq!(parse(text).to_string(), expected);
        }
        for text in ["", "linux/", "a/b/c/d", "linux/am d64", "/"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranks_what_can_run() {
        let wanted = parse("linux/arm64");
        assert_eq!(wanted.rank(&parse("linux/arm64/v8")), Some(0));
        assert_eq!(wanted.rank(&parse("linux/arm64/v9")), Some(1));
        assert_eq!(wanted.rank(&parse("linux/amd64")), None);
        assert_eq!(wanted.rank(&parse("windows/arm64")), None);
        assert_eq!(parse("linux/arm/v6").rank(&parse("linux/arm/v7")), None);
    }
}

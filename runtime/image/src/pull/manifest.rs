//! From a name to the manifest of one image: fetched, verified, and through indexes to the platform that is wanted.

use oci_spec::image::ImageConfiguration;

use super::PullOptions;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::document::{self, Descriptor, Document, Manifest};
use crate::index::{NESTING, choose};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::remote::{ManifestName, Origin};
use crate::retry::{Latch, retrying};
use crate::{Error, Limits, Result};

/// The manifest of an image.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) manifest: Manifest,
    pub(super) digest: Digest,
    /// Of the index that led here, or of the manifest.
    pub(super) top: Digest,
}

/// Asks `origin` for what `reference` names; a digest in it counts, not the tag.
pub(super) fn find(origin: &dyn Origin, reference: &Reference, options: &PullOptions) -> Result<Found> {
    let limits = &options.limits;
    let (name, what) = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => (ManifestName::Digest(digest), format!("manifest {digest}")),
        (None, tag) => {
            let tag = tag.unwrap_or("latest");
            (ManifestName::Tag(tag), format!("manifest {}", reference.familiar()))
        }
    };
    let mut got = fetch(origin, name, "", &what, limits)?;
    let top = got.digest.clone();
    let mut seen = vec![top.clone()];
    let host = Platform::host();
    let wanted = options.platform.as_ref().unwrap_or(&host);
    loop {
        let children = match got.document {
            Document::Manifest(manifest) => {
                check(&manifest, limits)?;
                return Ok(Found { bytes: got.bytes, manifest, digest: got.digest, top });
            }
            Document::Index(children) => children,
        };
        if seen.len() > NESTING {
            return Err(Error::Limit {
                what: "the nesting of indexes".to_owned(),
                limit: NESTING.to_string(),
            });
        }
        let images: Vec<Descriptor> = children.into_iter().filter(|child| !child.is_attachment()).collect();
        let chosen = choose(images, wanted, false)
            .map_err(|available| Error::NoMatchingManifest { wanted: wanted.to_string(), available })?;
        if seen.contains(&chosen.digest) {
            return Err(Error::document(&what, "it is an index that names itself"));
        }
        seen.push(chosen.digest.clone());
        got = child(origin, &chosen, limits)?;
    }
}

/// Refuses an image of another platform than the one asked for, or of another kernel.
///
/// Without a wish another architecture is taken, as in Docker, which warns when it runs.
pub(super) fn admit(
    config: &ImageConfiguration,
    reference: &Reference,
    platform: Option<&Platform>,
) -> Result<()> {
    let offered = Platform::of(config);
    if !Platform::admits(platform, &offered) {
        let wanted = platform.map_or_else(|| Platform::host().to_string(), ToString::to_string);
        let (reference, actual) = (reference.familiar(), offered.to_string());
        return Err(Error::WrongPlatform { reference, wanted, actual });
    }
    Ok(())
}

struct Got {
    bytes: Vec<u8>,
    digest: Digest,
    document: Document,
}

/// A manifest or index that another one names.
fn child(origin: &dyn Origin, descriptor: &Descriptor, limits: &Limits) -> Result<Got> {
    let what = format!("manifest {}", descriptor.digest);
    within(descriptor.size, limits.document, &format!("the size of {what}"))?;
    let got = fetch(origin, ManifestName::Digest(&descriptor.digest), &descriptor.media_type, &what, limits)?;
    let (expected, actual) = (descriptor.size, got.bytes.len() as u64);
    if expected != actual {
        return Err(Error::SizeMismatch { what, expected, actual });
    }
    Ok(got)
}

fn fetch(
    origin: &dyn Origin,
    name: ManifestName<'_>,
    declared: &str,
    what: &str,
    limits: &Limits,
) -> Result<Got> {
    let remote = retrying(what, &Latch::default(), || origin.manifest(name, limits.document))?;
    within(remote.bytes.len() as u64, limits.document, &format!("the size of {what}"))?;
    let digest = match name {
        ManifestName::Digest(expected) => {
            let actual = digest_of(&remote.bytes, expected.algorithm());
            if actual != *expected {
                let (what, expected) = (what.to_owned(), expected.clone());
                return Err(Error::DigestMismatch { what, expected, actual });
            }
            actual
        }
        ManifestName::Tag(_) => Digest::sha256(&remote.bytes),
    };
    let sent = media_type(&remote.media_type);
    if !declared.is_empty() && !sent.is_empty() && declared != sent {
        let reason = format!("its descriptor calls it {declared:?}, the registry {sent:?}");
        return Err(Error::document(what, reason));
    }
    let document = document::parse(&remote.bytes, if declared.is_empty() { sent } else { declared }, what)?;
    Ok(Got { bytes: remote.bytes, digest, document })
}

/// What a `Content-Type` says about a manifest: nothing if it is one that servers give to any JSON.
fn media_type(content_type: &str) -> &str {
    let plain = content_type.split(';').next().unwrap_or_default().trim();
    if matches!(plain, "application/json" | "application/octet-stream" | "text/plain") { "" } else { plain }
}

fn digest_of(bytes: &[u8], algorithm: Algorithm) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// Refuses what a manifest declares before anything of it is fetched.
fn check(manifest: &Manifest, limits: &Limits) -> Result<()> {
    let count = manifest.layers.len();
    if count > limits.layers {
        let what = format!("the number of layers ({count})");
        return Err(Error::Limit { what, limit: limits.layers.to_string() });
    }
    let config = &manifest.config;
    within(config.size, limits.document, &format!("the size of image config {}", config.digest))?;
    let mut total: u64 = 0;
    for layer in &manifest.layers {
        if layer.digest == config.digest {
            return Err(Error::document(&format!("layer {}", layer.digest), "it is the image's config"));
        }
        document::check_distributable(layer)?;
        document::check_layer_type(layer)?;
        total = total.saturating_add(layer.size);
    }
    within(total, limits.archive, "the size of all layers")
}

fn within(size: u64, limit: u64, what: &str) -> Result<()> {
    if size > limit {
        return Err(Error::Limit { what: format!("{what} ({size} bytes)"), limit: format!("{limit} bytes") });
    }
    Ok(())
}

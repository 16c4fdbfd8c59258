//! A repository, wherever it is served from.

mod pull;
mod push;
mod tags;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sandbox_image::RemoteErrorKind::NotFound;
use sandbox_image::{Digest, ManifestName};

pub use pull::ManifestHead;
pub(crate) use tags::pages;

use crate::auth::Scope;
use crate::failure::{Failure, Result};
use crate::http::Answer;
use crate::registry::Registry;
use crate::retry::Patience;
use crate::text::printable;
use crate::url::escape;

/// What a repository is opened for; its tokens permit no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Pull,
    PullPush,
}

/// One registry that serves the repository, and what it is called there.
pub(crate) struct Endpoint {
    pub(crate) registry: Arc<Registry>,
    pub(crate) path: String,
}

/// A repository to pull from ([`sandbox_image::Origin`]) or to push to ([`sandbox_image::Target`]).
pub struct Repository {
    /// In the order in which they are asked; never empty, the last is the registry itself unless that is ruled out.
    endpoints: Vec<Endpoint>,
    /// The one to begin with: those before it are out of reach, or lack what this image needs.
    first: AtomicUsize,
    /// As people write it.
    name: String,
    access: Access,
    patience: Patience,
}

impl Repository {
    pub(crate) fn new(endpoints: Vec<Endpoint>, name: String, access: Access, patience: Patience) -> Self {
        Self { endpoints, first: AtomicUsize::new(0), name, access, patience }
    }

    /// The first endpoint's answer that is one. Only the last endpoint is worth waiting for.
    fn each<T>(&self, attempt: impl Fn(&Endpoint) -> Result<T>) -> Result<(usize, T)> {
        let first = self.first.load(Ordering::Relaxed);
        let mut mirrors = Vec::new();
        for (index, endpoint) in self.endpoints.iter().enumerate().skip(first) {
            let last = index + 1 == self.endpoints.len();
            let patience = if last { self.patience } else { Patience::none() };
            match patience.run(|| attempt(endpoint)) {
                Ok(value) => return Ok((index, value)),
                Err(failure) if last => {
                    return Err(mirrors
                        .iter()
                        .fold(failure, |failure, mirror: &String| failure.besides(mirror)));
                }
                Err(failure) => {
                    if failure.unreachable {
                        self.first.fetch_max(index + 1, Ordering::Relaxed);
                    }
                    if failure.kind != NotFound {
                        mirrors.push(format!("mirror {}: {}", endpoint.registry.name(), failure.message));
                    }
                }
            }
        }
        Err(Failure::refused(format!("{} is served from nowhere", self.name)))
    }

    fn scope(&self, endpoint: &Endpoint) -> Scope {
        match self.access {
            Access::Pull => Scope::pull(&endpoint.path),
            Access::PullPush => Scope::push(&endpoint.path),
        }
    }

    /// `alpine:3.22` or `alpine@sha256:…`.
    fn shown(&self, name: ManifestName<'_>) -> String {
        match name {
            ManifestName::Tag(tag) => format!("{}:{}", self.name, printable(tag, 128)),
            ManifestName::Digest(digest) => format!("{}@{digest}", self.name),
        }
    }
}

fn manifest_path(path: &str, name: ManifestName<'_>) -> String {
    format!("/v2/{path}/manifests/{}", escape(&name.to_string()).replace("%3A", ":"))
}

/// The digest that a registry claims for what it sends or took. It proves nothing.
fn claimed_digest(answer: &Answer) -> Result<Option<Digest>> {
    let Some(text) = answer.header("docker-content-digest").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let invalid = |_| {
        let host = answer.url.origin.authority();
        Failure::refused(format!("{host} sends an invalid digest, {:?}", printable(text, 160)))
    };
    text.parse().map(Some).map_err(invalid)
}

/// Refuses a claim about content of digest `actual` that is not true.
fn verify_claim(answer: &Answer, actual: &Digest, what: &str) -> Result<()> {
    match claimed_digest(answer)? {
        Some(claimed) if claimed.algorithm() == actual.algorithm() && claimed != *actual => {
            let host = answer.url.origin.authority();
            Err(Failure::refused(format!(
                "{host} says that the digest of {what} is {claimed}, but it is {actual}"
            )))
        }
        _ => Ok(()),
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("name", &self.name).finish_non_exhaustive()
    }
}

//! `search`: Docker Hub's search, which other registries lack; those have at most a list of all repositories.

use std::sync::Arc;

use sandbox_image::RemoteError;
use sandbox_image::RemoteErrorKind::NotFound;
use serde::Deserialize;

use crate::auth::Scope;
use crate::client::Client;
use crate::failure::{Failure, Result};
use crate::http::Request;
use crate::registry::{DOCKER_HUB, Registry};
use crate::repository::pages;
use crate::text::printable;
use crate::url::{Origin, Scheme, escape};

/// Docker Hub's search is not where its images are.
const DOCKER_HUB_INDEX: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
/// The most that Docker asks for.
pub const SEARCH_LIMIT: usize = 100;
const ANSWER: u64 = 4 << 20;
const TERM: usize = 255;

/// A repository that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As it is pulled.
    pub name: String,
    pub description: String,
    pub stars: u64,
    pub official: bool,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    star_count: u64,
    #[serde(default)]
    is_official: bool,
}

#[derive(Deserialize)]
struct Catalog {
    repositories: Option<Vec<String>>,
}

impl Client {
    /// Repositories that match `term`, the most starred first, at most `limit` of them ([`SEARCH_LIMIT`]). A term that
    /// begins with a registry (`localhost:5000/app`) is looked for there, others at Docker Hub's mirrors and at Docker
    /// Hub, whichever answers first. A registry that cannot search is asked for all its names.
    pub fn search(&self, term: &str, limit: usize) -> std::result::Result<Vec<Found>, RemoteError> {
        let action = || format!("search for {}", printable(term, TERM));
        self.find(term, limit.clamp(1, SEARCH_LIMIT)).map_err(|failure| failure.while_trying(action()).into())
    }

    fn find(&self, term: &str, limit: usize) -> Result<Vec<Found>> {
        if term.is_empty() || term.len() > TERM {
            return Err(Failure::refused("a term of 1 to 255 characters is needed"));
        }
        let (domain, term) = split(term);
        if domain != DOCKER_HUB {
            return search(&self.registry(domain), term, limit, &format!("{domain}/"));
        }
        let mut places: Vec<Arc<Registry>> = Vec::new();
        places
            .extend(self.config.mirrors.get(domain).into_iter().flatten().map(|mirror| self.mirror(mirror)));
        if !self.config.mirrors_only.iter().any(|only| only == domain) {
            let host = DOCKER_HUB_INDEX.to_owned();
            let origin = Origin { scheme: Scheme::Https, host, port: 443 };
            places.push(Arc::new(Registry::at(self.http.clone(), self.credentials.clone(), origin)));
        }
        let mut outcome = Err(Failure::refused("there is nobody to ask"));
        for place in places {
            outcome = search(&place, term, limit, "");
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

fn search(registry: &Registry, term: &str, limit: usize, prefix: &str) -> Result<Vec<Found>> {
    let url = registry.origin()?.at(&format!("/v1/search?q={}&n={limit}", escape(term)));
    let mut answer = registry.ask_own(&Request::get(url), &Scope::default())?;
    if answer.status != 200 {
        let failure = answer.into_failure();
        return if failure.kind == NotFound {
            in_catalog(registry, term, limit, prefix)
        } else {
            Err(failure)
        };
    }
    let bytes = answer.document(ANSWER)?;
    let refused = |_| Failure::refused(format!("{} sends a search result that is none", registry.name()));
    let Results { mut results } = serde_json::from_slice(&bytes).map_err(refused)?;
    results.sort_by_key(|entry| std::cmp::Reverse(entry.star_count));
    let found = results.into_iter().take(limit).map(|entry| Found {
        name: format!("{prefix}{}", printable(&entry.name, TERM)),
        description: printable(&entry.description.unwrap_or_default(), 1000),
        stars: entry.star_count,
        official: entry.is_official,
    });
    Ok(found.collect())
}

fn in_catalog(registry: &Registry, term: &str, limit: usize, prefix: &str) -> Result<Vec<Found>> {
    let names = pages(registry, "/v2/_catalog?n=1000", &Scope::catalog(), |bytes| {
        serde_json::from_slice::<Catalog>(bytes).map(|page| page.repositories.unwrap_or_default())
    })?;
    let found = names.into_iter().filter(|name| name.contains(term)).take(limit).map(|name| {
        // Only a mirror of Docker Hub has official images.
        let official = if prefix.is_empty() { name.strip_prefix(OFFICIAL) } else { None };
        Found {
            official: official.is_some(),
            name: format!("{prefix}{}", printable(official.unwrap_or(&name), TERM)),
            description: String::new(),
            stars: 0,
        }
    });
    Ok(found.collect())
}

/// The registry that a term begins with, if it does, by the rule of references.
fn split(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (if first == DOCKER_HUB_INDEX { DOCKER_HUB } else { first }, rest)
        }
        _ => (DOCKER_HUB, term),
    }
}

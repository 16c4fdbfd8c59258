//! The tags of a repository, page by page (OCI distribution-spec, "Listing Tags").

use sandbox_image::RemoteError;
use serde::Deserialize;
use ureq::http::header;

use super::{Endpoint, Repository};
use crate::auth::Scope;
use crate::failure::{Failure, Result};
use crate::http::{Answer, Request, named};
use crate::registry::Registry;
use crate::url::Url;

const PAGE: u64 = 4 << 20;
/// Of tags or names, in how many pages.
const ENTRIES: usize = 100_000;
const PAGES: usize = 1000;

#[derive(Deserialize)]
struct Tags {
    /// Absent or null for a repository without any.
    tags: Option<Vec<String>>,
}

impl Repository {
    /// All tags, as the registry sorts them.
    ///
    /// # Errors
    /// Also if there are more than a hundred thousand.
    pub fn tags(&self) -> std::result::Result<Vec<String>, RemoteError> {
        let tags = self.each(|endpoint| self.fetch_tags(endpoint));
        Ok(tags.map_err(|failure| failure.while_trying(format!("list the tags of {}", self.name)))?.1)
    }

    fn fetch_tags(&self, endpoint: &Endpoint) -> Result<Vec<String>> {
        let path = format!("/v2/{}/tags/list?n=1000", endpoint.path);
        pages(&endpoint.registry, &path, &self.scope(endpoint), |bytes| {
            serde_json::from_slice::<Tags>(bytes).map(|page| page.tags.unwrap_or_default())
        })
    }
}

/// Collects a list that comes in pages, each linked to the next (RFC 5988).
pub(crate) fn pages(
    registry: &Registry,
    path: &str,
    scope: &Scope,
    read: impl Fn(&[u8]) -> serde_json::Result<Vec<String>>,
) -> Result<Vec<String>> {
    let origin = registry.origin()?;
    let mut url = origin.at(path);
    let mut entries = Vec::new();
    for _ in 0..PAGES {
        let mut answer = registry.ask_own(&Request::get(url), scope)?;
        if answer.status != 200 {
            return Err(answer.into_failure());
        }
        let page = answer.document(PAGE)?;
        let refused = |what: &str| Failure::refused(format!("{} sends {what}", origin.authority()));
        entries.extend(read(&page).map_err(|_| refused("a list that is none"))?);
        if entries.len() > ENTRIES {
            return Err(refused(&format!("a list of more than {ENTRIES} entries")));
        }
        match next(&answer)? {
            None => return Ok(entries),
            Some(next) if next.origin != origin => return Err(refused("a list that goes on elsewhere")),
            Some(next) => url = next,
        }
    }
    Err(Failure::refused(format!("{} sends a list of more than {PAGES} pages", origin.authority())))
}

/// `Link: </v2/…>; rel="next"`.
fn next(answer: &Answer) -> Result<Option<Url>> {
    let Some(link) = answer.header(header::LINK) else { return Ok(None) };
    let target = link.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match target {
        Some((target, relation)) if relation.contains("next") => {
            named(&answer.url, Some(target), "a next page").map(Some)
        }
        _ => Ok(None),
    }
}

//! Pulling: manifests and blobs (OCI distribution-spec, "Pull").

use std::sync::atomic::Ordering;

use sandbox_image::RemoteErrorKind::{Denied, NotFound};
use sandbox_image::{Algorithm, Digest, ManifestName, Origin, RemoteBlob, RemoteDocument, RemoteError};
use ureq::http::{Method, header};

use super::{Endpoint, Repository, claimed_digest, manifest_path, verify_claim};
use crate::failure::{Failure, Result};
use crate::http::body::BlobReader;
use crate::http::{Answer, Patience, Request};
use crate::text::printable;

/// All that the store can make an image of; a registry that gets no list may convert to something older.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
    */*;q=0.1";

/// What a registry says about a manifest without sending it. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// None if the registry does not say.
    pub digest: Option<Digest>,
    pub media_type: String,
    pub size: Option<u64>,
}

impl Repository {
    /// Asks about a manifest without fetching it: whether a tag has moved, cheaply and, at Docker Hub, without it counting
    /// as a pull.
    pub fn head_manifest(&self, name: ManifestName<'_>) -> std::result::Result<ManifestHead, RemoteError> {
        let head = self.each(|endpoint| {
            let answer = self.ask_for_manifest(endpoint, name, Method::HEAD)?;
            Ok(ManifestHead {
                digest: claimed_digest(&answer)?,
                media_type: media_type(&answer),
                size: answer.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            })
        });
        let (index, head) = head.map_err(|failure| self.explain(failure, name))?;
        self.first.fetch_max(index, Ordering::Relaxed);
        Ok(head)
    }

    fn ask_for_manifest(
        &self,
        endpoint: &Endpoint,
        name: ManifestName<'_>,
        method: Method,
    ) -> Result<Answer> {
        let origin = endpoint.registry.origin()?;
        let request = Request::new(method, origin.at(&manifest_path(&endpoint.path, name)))
            .header(header::ACCEPT, ACCEPT);
        let answer = endpoint.registry.ask_own(&request, &self.scope(endpoint))?;
        if answer.status == 200 { Ok(answer) } else { Err(answer.into_failure()) }
    }

    fn fetch_manifest(
        &self,
        endpoint: &Endpoint,
        name: ManifestName<'_>,
        limit: u64,
    ) -> Result<RemoteDocument> {
        let mut answer = self.ask_for_manifest(endpoint, name, Method::GET)?;
        let bytes = answer.document(limit)?;
        let actual = Digest::sha256(&bytes);
        let shown = self.shown(name);
        verify_claim(&answer, &actual, &shown)?;
        if let ManifestName::Digest(wanted) = name
            && wanted.algorithm() == Algorithm::Sha256
            && *wanted != actual
        {
            let host = answer.url.origin.authority();
            return Err(Failure::refused(format!("{host} sends content of digest {actual} instead")));
        }
        Ok(RemoteDocument { media_type: media_type(&answer), bytes })
    }

    /// Docker's words where scripts know them.
    fn explain(&self, failure: Failure, name: ManifestName<'_>) -> Failure {
        let shown = self.shown(name);
        let message = match failure.kind {
            Denied if !failure.message.contains("no basic auth credentials") => format!(
                "pull access denied for {}, repository does not exist or may require 'sandbox login': {}",
                self.name, failure.message
            ),
            NotFound if failure.has_code("NAME_UNKNOWN") => {
                format!("repository {} not found: {}", self.name, failure.message)
            }
            NotFound if failure.code.is_some() => {
                format!("manifest for {shown} not found: {}", failure.message)
            }
            // An answer without a body, as to HEAD.
            NotFound => format!("manifest for {shown} not found: manifest unknown: manifest unknown"),
            _ => format!("cannot get the manifest of {shown}: {}", failure.message),
        };
        Failure { message, ..failure }
    }

    fn fetch_blob(&self, endpoint: &Endpoint, digest: &Digest, size: u64, offset: u64) -> Result<RemoteBlob> {
        let origin = endpoint.registry.origin()?;
        let url = origin.at(&format!("/v2/{}/blobs/{digest}", endpoint.path));
        let patience = Patience::Stream { size };
        let request = Request { patience, ..Request::get(url.clone()) };
        let ranged = match offset {
            0 => request,
            offset => request.header(header::RANGE, format!("bytes={offset}-")),
        };
        let scope = self.scope(endpoint);
        let mut answer = endpoint.registry.ask_own(&ranged, &scope)?;
        let mut begins = offset;
        if answer.status == 416 && offset > 0 {
            // The other side knows no such part: then all of it, and its length will tell.
            answer.finish();
            answer = endpoint.registry.ask_own(&Request { patience, ..Request::get(url) }, &scope)?;
        }
        match answer.status.as_u16() {
            200 => begins = 0,
            206 if offset > 0 => verify_range(&answer, offset, size)?,
            _ => return Err(answer.into_failure()),
        }
        let left = size - begins;
        if let Some(length) = answer.length()
            && length != left
        {
            let host = answer.url.origin.authority();
            return Err(Failure::refused(format!(
                "{host} announces {length} bytes where {left} are to come: its blob is another one"
            )));
        }
        let content = BlobReader::new(answer.url.origin, answer.body, left, endpoint.registry.idle());
        Ok(RemoteBlob { offset: begins, content: Box::new(content) })
    }
}

impl Origin for Repository {
    fn manifest(
        &self,
        name: ManifestName<'_>,
        limit: u64,
    ) -> std::result::Result<RemoteDocument, RemoteError> {
        let found = self.each(|endpoint| self.fetch_manifest(endpoint, name, limit));
        let (index, document) = found.map_err(|failure| self.explain(failure, name))?;
        // Whoever has the manifest most likely has the rest.
        self.first.fetch_max(index, Ordering::Relaxed);
        Ok(document)
    }

    fn blob(&self, digest: &Digest, size: u64, offset: u64) -> std::result::Result<RemoteBlob, RemoteError> {
        if offset >= size {
            // Nothing is missing; no range says so.
            return Ok(RemoteBlob { offset: size, content: Box::new(std::io::empty()) });
        }
        let found = self.each(|endpoint| self.fetch_blob(endpoint, digest, size, offset));
        let action = || format!("get blob {digest} of {}", self.name);
        Ok(found.map_err(|failure| failure.while_trying(action()))?.1)
    }
}

/// `Content-Range: bytes FIRST-LAST/SIZE` must be the rest of the blob and nothing else.
fn verify_range(answer: &Answer, offset: u64, size: u64) -> Result<()> {
    let text = answer.header(header::CONTENT_RANGE).unwrap_or_default();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let fits = || {
        let (range, total) = text.strip_prefix("bytes")?.trim_start().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let whole = total.trim() == "*" || number(total)? == size;
        Some(whole && number(first)? == offset && number(last)? == size.checked_sub(1)?)
    };
    if fits() == Some(true) {
        return Ok(());
    }
    let host = answer.url.origin.authority();
    Err(Failure::refused(format!(
        "{host} sends another part than bytes {offset} to {size} (Content-Range {:?})",
        printable(text, 100)
    )))
}

fn media_type(answer: &Answer) -> String {
    let value = answer.header(header::CONTENT_TYPE).unwrap_or_default();
    printable(value.split(';').next().unwrap_or_default(), 255)
}

//! Pushing: blobs in one piece, mounts, manifests (OCI distribution-spec, "Push").

use sandbox_image::RemoteErrorKind::{Denied, NotFound, Transient};
use sandbox_image::{Algorithm, Digest, ManifestName, RemoteError, Target};
use ureq::http::{Method, header};

use super::{Endpoint, Repository, manifest_path, verify_claim};
use crate::auth::Scope;
use crate::failure::{Failure, Result};
use crate::http::{Answer, Opener, Payload, Request, named};
use crate::url::{Url, escape};

impl Repository {
    /// The registry itself: nobody pushes to mirrors.
    fn target(&self) -> Result<&Endpoint> {
        self.endpoints.last().ok_or_else(|| Failure::refused(format!("{} is served from nowhere", self.name)))
    }

    fn to_target<T>(
        &self,
        action: impl Fn() -> String,
        attempt: impl Fn(&Endpoint) -> Result<T>,
    ) -> std::result::Result<T, RemoteError> {
        let result = self.target().and_then(|endpoint| {
            self.patience.run(|| attempt(endpoint)).map_err(|failure| match failure.kind {
                Denied if !failure.message.contains("log in") => Failure {
                    message: format!(
                        "{} (to push to {} log in as somebody who may: 'sandbox login {}')",
                        failure.message,
                        self.name,
                        endpoint.registry.name()
                    ),
                    ..failure
                },
                _ => failure,
            })
        });
        result.map_err(|failure| failure.while_trying(action()).into())
    }

    fn upload(&self, endpoint: &Endpoint, digest: &Digest, size: u64, content: Opener<'_>) -> Result<()> {
        let origin = endpoint.registry.origin()?;
        let scope = self.scope(endpoint);
        let start = Request::new(Method::POST, origin.at(&format!("/v2/{}/blobs/uploads/", endpoint.path)));
        let begun = endpoint.registry.ask_own(&start, &scope)?;
        if begun.status != 202 {
            return Err(begun.into_failure());
        }
        let place = upload_place(&begun)?.with_query("digest", &escape(&digest.to_string()));
        let reach = begun.reach;
        begun.finish();
        let send = Request::new(Method::PUT, place)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .payload(Payload::Content { size, open: content });
        let taken = endpoint.registry.ask(&send, &scope, Some(reach))?;
        if !taken.status.is_success() {
            let mut failure = taken.into_failure();
            if failure.has_code("BLOB_UPLOAD_UNKNOWN") {
                // The session was lost; another one may not be.
                failure.kind = Transient;
            }
            return Err(failure);
        }
        verify_claim(&taken, digest, "the blob")?;
        taken.finish();
        Ok(())
    }

    fn mount(&self, endpoint: &Endpoint, digest: &Digest, from: &str) -> Result<bool> {
        let origin = endpoint.registry.origin()?;
        let scope = self.scope(endpoint).and(&Scope::pull(from));
        let url = origin
            .at(&format!("/v2/{}/blobs/uploads/", endpoint.path))
            .with_query("mount", &escape(&digest.to_string()))
            .with_query("from", &escape(from));
        let answer = match endpoint.registry.ask_own(&Request::new(Method::POST, url), &scope) {
            Err(failure) if matches!(failure.kind, Denied | NotFound) => return Ok(false),
            answer => answer?,
        };
        let status = answer.status.as_u16();
        if status == 201 {
            verify_claim(&answer, digest, "the blob")?;
        }
        if status == 202 {
            // An upload was begun instead, which nobody will continue. The registry forgets it sooner or later.
            let place = upload_place(&answer)?;
            let cancel = Request { follows: false, ..Request::new(Method::DELETE, place) };
            if let Ok(cancelled) = endpoint.registry.ask(&cancel, &scope, Some(answer.reach)) {
                cancelled.finish();
            }
        }
        answer.finish();
        Ok(status == 201)
    }
}

impl Target for Repository {
    fn has_blob(&self, digest: &Digest) -> std::result::Result<bool, RemoteError> {
        let action = || format!("ask for blob {digest} of {}", self.name);
        self.to_target(action, |endpoint| {
            let url = endpoint.registry.origin()?.at(&format!("/v2/{}/blobs/{digest}", endpoint.path));
            // Storage that is sent to may answer to GET alone; being sent there says enough.
            let request = Request { follows: false, ..Request::new(Method::HEAD, url) };
            let answer = endpoint.registry.ask_own(&request, &self.scope(endpoint))?;
            match answer.status.as_u16() {
                200..=399 => Ok(true),
                404 => Ok(false),
                _ => Err(answer.into_failure()),
            }
        })
    }

    fn mount_blob(&self, digest: &Digest, from: &str) -> std::result::Result<bool, RemoteError> {
        let action = || format!("mount blob {digest} from {from} into {}", self.name);
        self.to_target(action, |endpoint| self.mount(endpoint, digest, from))
    }

    fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        content: Opener<'_>,
    ) -> std::result::Result<(), RemoteError> {
        let action = || format!("upload blob {digest} to {}", self.name);
        self.to_target(action, |endpoint| self.upload(endpoint, digest, size, content))
    }

    fn put_manifest(
        &self,
        name: ManifestName<'_>,
        media_type: &str,
        bytes: &[u8],
    ) -> std::result::Result<(), RemoteError> {
        let actual = Digest::sha256(bytes);
        let action = || format!("put the manifest of {}", self.shown(name));
        if let ManifestName::Digest(digest) = name
            && digest.algorithm() == Algorithm::Sha256
            && *digest != actual
        {
            return Err(Failure::refused(format!("its digest is {actual}")).while_trying(action()).into());
        }
        self.to_target(action, |endpoint| {
            let url = endpoint.registry.origin()?.at(&manifest_path(&endpoint.path, name));
            let request = Request::new(Method::PUT, url)
                .header(header::CONTENT_TYPE, media_type)
                .payload(Payload::Bytes(bytes));
            let answer = endpoint.registry.ask_own(&request, &self.scope(endpoint))?;
            if !answer.status.is_success() {
                return Err(answer.into_failure());
            }
            verify_claim(&answer, &actual, "the manifest")?;
            answer.finish();
            Ok(())
        })
    }
}

/// Where an upload continues.
fn upload_place(answer: &Answer) -> Result<Url> {
    named(&answer.url, answer.header(header::LOCATION), "an upload location")
}

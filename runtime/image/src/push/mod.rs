//! `push`: from the store to a registry's repository.
//!
//! Blobs that the registry has are not sent, those that another of its repositories has are mounted if it lets us, the
//! others are uploaded. The manifest comes last and is byte for byte the one that was pulled or loaded, so its digest is
//! the same everywhere.

mod progress;
mod upload;

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use self::progress::{PushEvent, PushState};
use self::upload::Upload;
use crate::digest::Digest;
use crate::lease::Held;
use crate::reference::Reference;
use crate::remote::{ManifestName, Target};
use crate::retry::{Latch, retrying};
use crate::store::Store;
use crate::{Error, Result, database, document};

/// Bytes of a manifest; it was within this when it came.
const DOCUMENT: u64 = 64 << 20;

/// How to push.
#[derive(Clone, Copy, Debug)]
pub struct PushOptions {
    /// Blobs that are sent at once.
    pub uploads: usize,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { uploads: 5 }
    }
}

/// What was pushed: Docker's `tag: digest: sha256:… size: N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest, which is byte for byte the one that was pulled or loaded.
    pub digest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
}

impl Store {
    /// Pushes the image that has the name `reference`, under this name; `target` is the repository of `reference`.
    ///
    /// # Errors
    /// [`Error::NotTagged`] if nothing has this name; [`Error::MissingBlob`] if a blob of the image is not in the store.
    pub fn push(
        &self,
        conn: &Connection,
        target: &dyn Target,
        reference: &Reference,
        options: &PushOptions,
        progress: &mut dyn FnMut(PushEvent),
    ) -> Result<Pushed> {
        let not_tagged = || Error::NotTagged(reference.familiar_name());
        let tag = reference.tag().filter(|_| reference.digest().is_none()).ok_or_else(not_tagged)?;
        let record = database::by_name(conn, reference)?.ok_or_else(not_tagged)?;
        let layers = database::layers(conn, &record.manifest)?;
        let blobs = layers.iter().map(|layer| layer.blob.clone());
        // Nobody removes the image while it is sent.
        let held = blobs.chain([record.manifest.clone(), record.id.clone()]).collect();
        let _lease = self.lease(Held { blobs: held, layers: Vec::new() })?;

        let bytes = self.content.read(&record.manifest, DOCUMENT)?;
        let media_type = document::manifest_media_type(&bytes, &format!("manifest {}", record.manifest))?;
        let mut uploads = Vec::new();
        for layer in &layers {
            if uploads.iter().any(|upload: &Upload| upload.blob == layer.blob) {
                continue;
            }
            uploads.push(Upload {
                blob: layer.blob.clone(),
                size: layer.blob_size,
                shown: Some(layer.diff_id.clone()),
                sources: database::sources(conn, &layer.blob, reference.domain())?,
            });
        }
        upload::all(&self.content, target, reference, &uploads, options.uploads, progress)?;
        let config = Upload {
            blob: record.id.clone(),
            size: self.blob_size(&record.id)?,
            shown: None,
            sources: Vec::new(),
        };
        upload::all(&self.content, target, reference, std::slice::from_ref(&config), 1, progress)?;
        retrying(&format!("the upload of manifest {}", record.manifest), &Latch::default(), || {
            target.put_manifest(ManifestName::Tag(tag), &media_type, &bytes)
        })?;

        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        if database::get(&transaction, &record.manifest)?.is_some() {
            database::add_digest(&transaction, &reference.repository(), &record.manifest, &record.manifest)?;
            for upload in uploads.iter().chain([&config]) {
                database::add_source(&transaction, &upload.blob, reference.domain(), reference.path())?;
            }
        }
        transaction.commit()?;
        Ok(Pushed { digest: record.manifest, size: bytes.len() as u64 })
    }

    /// The names in a repository (`docker.io/library/alpine`), sorted: what `push --all-tags` pushes.
    pub fn tags(&self, conn: &Connection, repository: &str) -> Result<Vec<Reference>> {
        database::names_in(conn, repository)
    }

    fn blob_size(&self, blob: &Digest) -> Result<u64> {
        self.content.size(blob).ok_or_else(|| Error::MissingBlob { what: format!("blob {blob}") })
    }
}

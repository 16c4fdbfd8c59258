//! `pull`: from a registry's repository to an image that containers can be made of.
//!
//! The manifest is fetched and verified, then everything that it names: downloads, hashing, decompression and unpacking
//! go on at once. Killed at any point, this leaves parts of blobs that the next pull continues, and whole content that no
//! image uses yet; the image itself appears in the database when nothing is missing.
//!
//! Refused: what has another digest or size than it should, layers that are to be fetched from elsewhere, and everything
//! beyond [`Limits`].

mod bring;
mod display;
mod fetch;
mod manifest;
mod partial;
mod progress;
mod session;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::bring::Bring;
use self::manifest::Found;
pub use self::progress::{PullEvent, PullState};
use crate::arrival::Arrival;
use crate::database::{self, Record};
use crate::digest::Digest;
use crate::platform::Platform;
use crate::policy::{Policy, Subject, Transport};
use crate::reference::Reference;
use crate::remote::Origin;
use crate::store::Store;
use crate::{Error, Limits, Result};

/// How to pull.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The platform to take from a multi-platform image; this machine's by default.
    pub platform: Option<Platform>,
    pub limits: Limits,
    /// Which images are accepted.
    pub policy: Policy,
    /// Blobs that are fetched at once.
    pub downloads: usize,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self { platform: None, limits: Limits::default(), policy: Policy::default(), downloads: 3 }
    }
}

/// What a pull came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The image's id: its config's digest.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// What the registry calls it: the digest of the index if there is one, else the manifest's (Docker's `Digest:`).
    pub digest: Digest,
    pub status: PullStatus,
    /// The manifest of the image that had the name before.
    pub replaced: Option<Digest>,
}

/// Docker's `Status:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// `Downloaded newer image for X`: the name is new or means another image now.
    Downloaded,
    /// `Image is up to date for X`.
    UpToDate,
}

impl Store {
    /// Pulls the image that `reference` names; `origin` is its repository, or a mirror of it.
    ///
    /// The image gets the name `reference` if that has a tag and no digest, and in any case the digest that the registry
    /// knows it by. All its blobs come, also those of layers that are unpacked here already from another compression:
    /// what was pulled can be pushed and saved, byte for byte.
    pub fn pull(
        &self,
        conn: &Connection,
        origin: &dyn Origin,
        reference: &Reference,
        options: &PullOptions,
        progress: &mut dyn FnMut(PullEvent),
    ) -> Result<Pulled> {
        self.make_directories()?;
        self.sweep()?;
        self.expire(conn)?;
        let found = manifest::find(origin, reference, options)?;
        options.policy.check(&Subject {
            transport: Transport::Docker,
            reference: Some(reference),
            digest: &found.top,
            manifest: &found.digest,
        })?;
        if self.is_up_to_date(conn, &found)? {
            let record = database::get(conn, &found.digest)?;
            let config = record.map(|record| record.parse_config()).transpose()?;
            if let Some(config) = config {
                manifest::admit(&config, reference, options.platform.as_ref())?;
            }
            if let Some(pulled) = record_pull(conn, reference, &found, None)? {
                return Ok(pulled);
            }
        }
        let bring = Bring::new(self, origin, reference, &found, options)?;
        bring.run(conn, progress, |arrival| {
            record_pull(conn, reference, &found, Some(arrival))?
                .ok_or_else(|| Error::NoSuchImage(found.digest.to_string()))
        })
    }

    /// The image is in the database, and everything that it needs is in the store.
    fn is_up_to_date(&self, conn: &Connection, found: &Found) -> Result<bool> {
        if database::get(conn, &found.digest)?.is_none() {
            return Ok(false);
        }
        let has = |blob: &Digest, size: u64| self.content.size(blob) == Some(size);
        let manifest = &found.manifest;
        let whole = has(&found.digest, found.bytes.len() as u64)
            && manifest.layers.iter().chain([&manifest.config]).all(|blob| has(&blob.digest, blob.size));
        if !whole {
            return Ok(false);
        }
        for layer in database::layers(conn, &found.digest)? {
            if self.layers.info(&layer.chain)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Tells the database of a pulled image, or of another name for one that is there; `None` if it is not any more.
fn record_pull(
    conn: &Connection,
    reference: &Reference,
    found: &Found,
    arrival: Option<&Arrival<'_>>,
) -> Result<Option<Pulled>> {
    let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    if let Some(arrival) = arrival {
        arrival.record(&transaction)?;
    } else if database::get(&transaction, &found.digest)?.is_none() {
        return Ok(None);
    }
    let repository = reference.repository();
    let same = |record: Record| record.manifest == found.digest;
    let known_digest = database::by_manifest(&transaction, &repository, &found.top)?.is_some_and(same);
    database::add_digest(&transaction, &repository, &found.top, &found.digest)?;
    let (mut known, mut replaced) = (known_digest, None);
    if reference.digest().is_none() {
        known = database::by_name(&transaction, reference)?.is_some_and(same);
        replaced = database::set_name(&transaction, reference, &found.digest)?;
    }
    for blob in found.manifest.layers.iter().chain([&found.manifest.config]) {
        database::add_source(&transaction, &blob.digest, reference.domain(), reference.path())?;
    }
    transaction.commit()?;
    Ok(Some(Pulled {
        id: found.manifest.config.digest.clone(),
        manifest: found.digest.clone(),
        digest: found.top.clone(),
        status: if known { PullStatus::UpToDate } else { PullStatus::Downloaded },
        replaced,
    }))
}

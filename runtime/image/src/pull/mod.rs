//! `pull`: from a registry's repository to an image that containers can be made of.

mod progress;

use rusqlite::Connection;

pub use self::progress::{PullEvent, PullState};
use crate::digest::Digest;
use crate::platform::Platform;
use crate::policy::Policy;
use crate::reference::Reference;
use crate::remote::Origin;
use crate::store::Store;
use crate::{Limits, Result};

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
    /// The image gets the name `reference` if that has a tag, and the digest that the registry knows it by.
    pub fn pull(
        &self,
        conn: &Connection,
        origin: &dyn Origin,
        reference: &Reference,
        options: &PullOptions,
        progress: &mut dyn FnMut(PullEvent),
    ) -> Result<Pulled> {
        let _ = (conn, origin, reference, options, progress);
        crate::error::in_the_making("pull")
    }
}

//! `push`: from the store to a registry's repository.

mod progress;

use rusqlite::Connection;

pub use self::progress::{PushEvent, PushState};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::remote::Target;
use crate::store::Store;
use crate::{Result, database};

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
    /// [`crate::Error::NotTagged`] if nothing has this name.
    pub fn push(
        &self,
        conn: &Connection,
        target: &dyn Target,
        reference: &Reference,
        options: &PushOptions,
        progress: &mut dyn FnMut(PushEvent),
    ) -> Result<Pushed> {
        let _ = (conn, target, reference, options, progress);
        crate::error::in_the_making("push")
    }

    /// The names in a repository (`docker.io/library/alpine`), sorted: what `push --all-tags` pushes.
    pub fn tags(&self, conn: &Connection, repository: &str) -> Result<Vec<Reference>> {
        database::names_in(conn, repository)
    }
}

//! `rmi` and `image prune`: what may go, and what goes with it.

mod image;
mod prune;

use std::fmt;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::image::Removal;
pub use self::prune::{LabelFilter, PruneOptions, Pruned};
use crate::digest::Digest;
use crate::lease::Leftovers;
use crate::store::{Store, find};
use crate::{Error, Result, database};

/// A container, as far as images are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUser {
    /// Its id, 64 digits.
    pub container: String,
    /// It runs, or is paused or restarting: its image cannot be removed even by force.
    pub running: bool,
    /// The id of its image.
    pub image: Digest,
}

/// Tells all containers. Called inside the transaction that removes images, with its connection, so that no container
/// can be made of an image in between: who makes one calls [`Store::confirm`] in the transaction that writes it down.
pub type Users<'a> = &'a dyn Fn(&Connection) -> Result<Vec<ImageUser>>;

/// How to remove an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Also if a stopped container uses it, or if it has several names.
    pub force: bool,
    /// Docker's `--no-prune`, about untagged parents: images here have no parents, so nothing is kept by it.
    pub no_prune: bool,
}

/// What went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name, `alpine:latest` or `alpine@sha256:…`.
    Untagged(String),
    /// An image by its id, or a layer by its chain id.
    Deleted(Digest),
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untagged(name) => write!(f, "Untagged: {name}"),
            Self::Deleted(digest) => write!(f, "Deleted: {digest}"),
        }
    }
}

impl Store {
    /// Removes a name, or an image by its id, as `docker rmi` does: the last name of an image takes the image with it.
    ///
    /// # Errors
    /// [`crate::Error::ReferenceInUse`] and [`crate::Error::ImageInUse`], with Docker's reasons.
    pub fn remove(
        &self,
        conn: &Connection,
        name: &str,
        options: RemoveOptions,
        users: Users<'_>,
    ) -> Result<Vec<Removed>> {
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let record = find(&transaction, name)?;
        let mut removal = Removal::new(&transaction, record.id, users(&transaction)?, options.force)?;
        removal.remove(name)?;
        let Removal { removed, .. } = removal;
        transaction.commit()?;
        if removed.iter().any(|removed| matches!(removed, Removed::Deleted(_))) {
            self.collect_garbage(conn)?;
        }
        Ok(removed)
    }

    /// Removes the images that `options` choose and no container uses, and all content that nothing uses, what killed
    /// pulls left included.
    pub fn prune(&self, conn: &Connection, options: &PruneOptions, users: Users<'_>) -> Result<Pruned> {
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let users = users(&transaction)?;
        let mut removed = Vec::new();
        for id in prune::candidates(&transaction, options)? {
            if users.iter().all(|user| user.image != id) {
                let mut removal = Removal::new(&transaction, id, Vec::new(), false)?;
                removal.delete()?;
                removed.append(&mut removal.removed);
            }
        }
        let alive = users.iter().map(|user| user.container.as_str()).collect();
        database::forget_containers(&transaction, &alive)?;
        database::forget_sources(&transaction)?;
        transaction.commit()?;
        let collected = self.collect(conn, Leftovers::Drop, None)?;
        Ok(Pruned { removed, reclaimed: collected.blob_bytes.saturating_add(collected.layer_bytes) })
    }

    /// Makes sure that an image which was resolved before, known by its manifest, is still there; to be called in the
    /// transaction that writes down the container made of it.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`] if it was removed meanwhile.
    pub fn confirm(&self, conn: &Connection, manifest: &Digest) -> Result<()> {
        if database::exists(conn, manifest)? {
            return Ok(());
        }
        Err(Error::NoSuchImage(manifest.to_string()))
    }
}

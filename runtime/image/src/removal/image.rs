//! Removal of one image's names and of the image, with Docker's rules and words (moby, daemon/images/image_delete.go).

use std::collections::HashSet;

use rusqlite::Connection;

use super::{ImageUser, Removed};
use crate::database::{self, StoredLayer};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::{Error, Result};

/// The removal of one image, inside a transaction.
pub(super) struct Removal<'a> {
    conn: &'a Connection,
    id: Digest,
    /// Manifests of differently compressed layers may share the config.
    manifests: Vec<Digest>,
    users: Vec<ImageUser>,
    force: bool,
    pub(super) removed: Vec<Removed>,
}

/// Why an image stays.
struct Conflict {
    reason: String,
    hard: bool,
    /// A container uses it.
    used: bool,
}

impl<'a> Removal<'a> {
    /// `users` are all containers.
    pub(super) fn new(conn: &'a Connection, id: Digest, users: Vec<ImageUser>, force: bool) -> Result<Self> {
        let alive: HashSet<&str> = users.iter().map(|user| user.container.as_str()).collect();
        if !alive.is_empty() {
            database::forget_containers(conn, &alive)?;
        }
        let manifests = database::manifests_of(conn, &id)?;
        let users = users.into_iter().filter(|user| user.image == id).collect();
        Ok(Self { conn, id, manifests, users, force, removed: Vec::new() })
    }

    /// Removes what the user called `name`.
    pub(super) fn remove(&mut self, name: &str) -> Result<()> {
        if self.is_id(name) { self.by_id() } else { self.by_name(name) }
    }

    fn is_id(&self, name: &str) -> bool {
        self.id.to_string().starts_with(name)
            || self.id.hex().starts_with(name)
            || name.starts_with("sha256:")
    }

    fn by_name(&mut self, name: &str) -> Result<()> {
        if !self.force
            && is_single(&self.references()?)
            && let Some(user) = self.users.first()
        {
            // Without its only name the image would be left dangling.
            return Err(Error::ReferenceInUse {
                name: name.to_owned(),
                container: short(&user.container).to_owned(),
                image: self.id.short().to_owned(),
            });
        }
        let reference: Reference = name.parse()?;
        let reference = reference.without_tag_beside_digest();
        self.untag(&reference)?;
        let mut left = self.references()?;
        let repository = reference.repository();
        let here = |other: &Reference| other.repository() == repository;
        if reference.digest().is_none() && !left.iter().any(|other| other.tag().is_some() && here(other)) {
            // The digests of a repository stay only as long as a tag of it does.
            for digest in left.iter().filter(|other| here(other)) {
                self.untag(digest)?;
            }
            left.retain(|other| !here(other));
        }
        if !left.is_empty() {
            return Ok(());
        }
        match self.conflict(true) {
            // The name is gone, which was asked for; the image stays for its container.
            Some(conflict) if conflict.used => Ok(()),
            Some(conflict) => Err(self.refusal(conflict)),
            None => self.delete(),
        }
    }

    fn by_id(&mut self) -> Result<()> {
        let references = self.references()?;
        let single = is_single(&references);
        // A single name does not stand in the way; several are more than an id was meant to remove.
        if let Some(conflict) = self.conflict(single || references.is_empty()) {
            return Err(self.refusal(conflict));
        }
        self.delete()
    }

    /// Removes all names and the image.
    pub(super) fn delete(&mut self) -> Result<()> {
        for reference in self.references()? {
            self.untag(&reference)?;
        }
        let mut layers = Vec::new();
        for manifest in &self.manifests {
            let own = database::layers(self.conn, manifest)?;
            let chains: Vec<Digest> = own.iter().map(|layer| layer.chain.clone()).collect();
            for user in &self.users {
                database::keep_layers(self.conn, &user.container, &chains)?;
            }
            layers.push(own);
        }
        for manifest in &self.manifests {
            database::remove(self.conn, manifest)?;
        }
        self.removed.push(Removed::Deleted(self.id.clone()));
        let used = database::used(self.conn)?.layers;
        let unused = |layer: &&StoredLayer| !used.contains(&layer.chain);
        for own in &layers {
            for layer in own.iter().rev().take_while(unused) {
                let deleted = Removed::Deleted(layer.chain.clone());
                if !self.removed.contains(&deleted) {
                    self.removed.push(deleted);
                }
            }
        }
        Ok(())
    }

    fn untag(&mut self, reference: &Reference) -> Result<()> {
        let removed = match reference.digest() {
            Some(digest) => database::remove_digest(self.conn, &reference.repository(), digest)?,
            None => database::remove_name(self.conn, reference)?.is_some(),
        };
        if !removed {
            return Err(Error::NoSuchImage(reference.familiar()));
        }
        self.removed.push(Removed::Untagged(reference.familiar()));
        Ok(())
    }

    /// Names with tags, then names by digest.
    fn references(&self) -> Result<Vec<Reference>> {
        let mut found = Vec::new();
        for manifest in &self.manifests {
            found.extend(database::names(self.conn, manifest)?);
        }
        for manifest in &self.manifests {
            found.extend(database::digests(self.conn, manifest)?);
        }
        Ok(found)
    }

    /// What stands in the way; `named_once` if names do not.
    fn conflict(&self, named_once: bool) -> Option<Conflict> {
        if let Some(user) = self.users.iter().find(|user| user.running) {
            let reason = format!("image is being used by running container {}", short(&user.container));
            return Some(Conflict { reason, hard: true, used: true });
        }
        if self.force {
            return None;
        }
        if !named_once {
            let reason = "image is referenced in multiple repositories".to_owned();
            return Some(Conflict { reason, hard: false, used: false });
        }
        let user = self.users.first()?;
        let reason = format!("image is being used by stopped container {}", short(&user.container));
        Some(Conflict { reason, hard: false, used: true })
    }

    fn refusal(&self, Conflict { reason, hard, .. }: Conflict) -> Error {
        Error::ImageInUse { image: self.id.short().to_owned(), hard, reason }
    }
}

fn short(container: &str) -> &str {
    container.get(..12).unwrap_or(container)
}

/// All references are of one repository, and at most one is a tag.
fn is_single(references: &[Reference]) -> bool {
    let Some(first) = references.first() else { return false };
    let repository = first.repository();
    references.iter().all(|reference| reference.repository() == repository)
        && references.iter().filter(|reference| reference.tag().is_some()).count() <= 1
}

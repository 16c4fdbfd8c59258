//! `save`: images as an archive that other tools read.

mod archive;
mod docker;
mod layout;

use std::io::Write;

use rusqlite::Connection;

use self::archive::Archive;
use crate::database::{self, StoredLayer};
use crate::digest::Digest;
use crate::lease::Held;
use crate::reference::Reference;
use crate::store::{Store, find};
use crate::{Error, Result};

/// The form of the archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveFormat {
    /// An OCI image layout with a `manifest.json` beside it, as Docker writes since version 25: read by `docker load`,
    /// and by others as OCI archive and as docker archive. Manifests and layers are byte for byte those of the store.
    #[default]
    Oci,
    /// The form of `docker save` before that: `manifest.json`, configs, and layers without compression.
    Docker,
}

impl Store {
    /// Writes the images of the given names and ids to `out`. A name without a tag means all tags of its repository.
    /// The same images give the same bytes.
    pub fn save(
        &self,
        conn: &Connection,
        names: &[String],
        format: SaveFormat,
        out: &mut dyn Write,
    ) -> Result<()> {
        let chosen = choose(conn, names)?;
        let held = chosen.iter().flat_map(|image| {
            let layers = image.layers.iter().map(|layer| layer.blob.clone());
            layers.chain([image.manifest.clone(), image.id.clone()])
        });
        // Nobody removes the images while they are written.
        let _lease = self.lease(Held { blobs: held.collect(), layers: Vec::new() })?;
        let mut archive = Archive::new(out);
        match format {
            SaveFormat::Oci => layout::write(&self.content, &chosen, &mut archive)?,
            SaveFormat::Docker => docker::write(&self.content, &chosen, &mut archive)?,
        }
        archive.finish()
    }
}

/// An image to save.
#[derive(Debug)]
struct Chosen {
    manifest: Digest,
    id: Digest,
    /// Sorted.
    names: Vec<Reference>,
    /// Bottom first.
    layers: Vec<StoredLayer>,
}

/// Finds what `names` name, each image once, in the order in which they are named first.
fn choose(conn: &Connection, names: &[String]) -> Result<Vec<Chosen>> {
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut add = |manifest: Digest, id: Digest, name: Option<Reference>| -> Result<()> {
        let known = chosen.iter().position(|image| image.manifest == manifest);
        if let Some(image) = known.and_then(|at| chosen.get_mut(at)) {
            image.names.extend(name);
            image.names.sort();
            image.names.dedup();
        } else {
            let layers = database::layers(conn, &manifest)?;
            chosen.push(Chosen { manifest, id, names: name.into_iter().collect(), layers });
        }
        Ok(())
    };
    for name in names {
        for reference in all_tags(conn, name)? {
            if let Some(record) = database::by_name(conn, &reference)? {
                add(record.manifest, record.id, Some(reference))?;
            }
        }
        let record = match find(conn, name) {
            Ok(record) => record,
            Err(Error::NoSuchImage(_)) if !all_tags(conn, name)?.is_empty() => continue,
            Err(error) => return Err(error),
        };
        // An id names nothing, nor does a digest.
        let named = name.parse::<Reference>().ok().filter(|reference| reference.digest().is_none());
        let named = match named {
            Some(reference) => database::by_name(conn, &reference)?.map(|_| reference),
            None => None,
        };
        add(record.manifest, record.id, named)?;
    }
    Ok(chosen)
}

/// The tags of the repository that a name without tag and digest means.
fn all_tags(conn: &Connection, name: &str) -> Result<Vec<Reference>> {
    let Ok(reference) = name.parse::<Reference>() else { return Ok(Vec::new()) };
    let bare =
        reference.digest().is_none() && !name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    if bare { database::names_in(conn, &reference.repository()) } else { Ok(Vec::new()) }
}

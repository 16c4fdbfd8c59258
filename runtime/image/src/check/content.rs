//! Whether each image has its blobs and layers, and whether they are what they should be.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rustix::fs::FlockOperation;

use super::{Finding, Problem};
use crate::database::{self, Record, StoredLayer};
use crate::digest::Digest;
use crate::layer::{Blob, Job};
use crate::lease::Held;
use crate::reference::Reference;
use crate::store::Store;
use crate::{Error, Limits, Result};

/// What an image needs.
struct Needs {
    record: Record,
    layers: Vec<StoredLayer>,
    /// For messages.
    name: String,
}

/// Reads all blobs of all images. With `repair` corrupt ones go, and missing layers are unpacked.
pub(super) fn check(
    store: &Store,
    conn: &Connection,
    repair: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut images = Vec::new();
    for record in database::records(conn)? {
        let layers = database::layers(conn, &record.manifest)?;
        let names = database::names(conn, &record.manifest)?;
        let name = names.first().map_or_else(|| record.id.to_string(), Reference::familiar);
        images.push(Needs { record, layers, name });
    }
    blobs(store, conn, &images, repair, findings)?;
    configs(store, conn, &images, repair, findings)?;
    layers(store, &images, repair, findings);
    Ok(())
}

fn blobs(
    store: &Store,
    conn: &Connection,
    images: &[Needs],
    repair: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut needed: BTreeMap<&Digest, Vec<String>> = BTreeMap::new();
    for image in images {
        let layers = image.layers.iter().map(|layer| &layer.blob);
        for blob in layers.chain([&image.record.manifest, &image.record.id]) {
            let names = needed.entry(blob).or_default();
            if names.last() != Some(&image.name) {
                names.push(image.name.clone());
            }
        }
    }
    for (blob, images) in needed {
        let problem = match store.content.verify(blob) {
            Ok(()) => continue,
            Err(Error::MissingBlob { .. }) => Problem::MissingBlob { blob: blob.clone(), images },
            Err(Error::DigestMismatch { .. }) => Problem::CorruptBlob { blob: blob.clone(), images },
            Err(error) => return Err(error),
        };
        // The image may have been removed while its blobs were read.
        if !database::used(conn)?.blobs.contains(blob) {
            continue;
        }
        let mut repaired = false;
        if repair && matches!(problem, Problem::CorruptBlob { .. }) {
            let _alone = store.lock(FlockOperation::LockExclusive)?;
            // A pull may have brought a good one since, or a collection may have taken it.
            if matches!(store.content.verify(blob), Err(Error::DigestMismatch { .. })) {
                let path = store.content.path(blob);
                std::fs::remove_file(&path).map_err(|error| Error::file("remove", &path, error))?;
            }
            repaired = true;
        }
        findings.push(Finding { problem, repaired });
    }
    Ok(())
}

/// The database has a copy of each config.
fn configs(
    store: &Store,
    conn: &Connection,
    images: &[Needs],
    repair: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    for Needs { record, .. } in images {
        if record.id.is_of(&record.config) {
            continue;
        }
        let mut repaired = false;
        if repair && let Ok(config) = store.content.read(&record.id, Limits::default().document) {
            database::set_config(conn, &record.manifest, &config)?;
            repaired = true;
        }
        findings.push(Finding { problem: Problem::ConfigMismatch { image: record.id.clone() }, repaired });
    }
    Ok(())
}

fn layers(store: &Store, images: &[Needs], repair: bool, findings: &mut Vec<Finding>) {
    let mut missing: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    let mut mismatches: BTreeMap<Digest, String> = BTreeMap::new();
    for image in images {
        for layer in &image.layers {
            if !store.layers.directory(&layer.chain).is_dir() {
                missing.entry(layer.chain.clone()).or_default().push(image.name.clone());
            } else if let Some(reason) = mismatch(store, layer) {
                mismatches.insert(layer.chain.clone(), reason);
            }
        }
    }
    findings.extend(mismatches.into_iter().map(|(chain, reason)| Finding {
        problem: Problem::LayerMismatch { chain, reason },
        repaired: false,
    }));
    if repair && !missing.is_empty() {
        for image in images {
            // What cannot be unpacked stays missing, and is told.
            let _ = unpack(store, &image.layers);
        }
    }
    for (chain, images) in missing {
        let repaired = repair && store.layers.directory(&chain).is_dir();
        findings.push(Finding { problem: Problem::MissingLayer { chain, images }, repaired });
    }
}

fn mismatch(store: &Store, layer: &StoredLayer) -> Option<String> {
    if !store.layers.diff(&layer.chain).is_dir() {
        return Some("its files are missing".to_owned());
    }
    match store.layers.info(&layer.chain) {
        Ok(Some(info)) if info.diff_id != layer.diff_id => {
            Some(format!("it says that its content is {}, but it should be {}", info.diff_id, layer.diff_id))
        }
        Ok(Some(info)) if info.size != layer.size => {
            Some(format!("it says that it has {} bytes, the database says {}", info.size, layer.size))
        }
        Ok(Some(_)) => None,
        Ok(None) => Some("the facts beside it are missing".to_owned()),
        Err(error) => Some(format!("the facts beside it cannot be read: {error}")),
    }
}

/// Unpacks what is missing of an image's layers from its blobs.
fn unpack(store: &Store, layers: &[StoredLayer]) -> Result<()> {
    let _lease = store.lease(Held {
        blobs: layers.iter().map(|layer| layer.blob.clone()).collect(),
        layers: layers.iter().map(|layer| layer.chain.clone()).collect(),
    })?;
    let jobs: Vec<Job> = layers
        .iter()
        .map(|layer| Job {
            chain: layer.chain.clone(),
            diff_id: layer.diff_id.clone(),
            blob: Blob::File(store.content.path(&layer.blob)),
            size: layer.blob_size,
        })
        .collect();
    store.unpack(&jobs, &Limits::default(), &mut |_| {}).map(|_| ())
}

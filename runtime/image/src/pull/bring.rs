//! The part of a pull that changes the store: from a manifest to whole content under its names, or to a store that is
//! as before.

use std::sync::Arc;

use rusqlite::Connection;

use super::PullOptions;
use super::display::Display;
use super::fetch::{Fetch, Got, Wanted};
use super::manifest::{self, Found};
use super::partial;
use super::progress::PullEvent;
use super::session::Session;
use crate::arrival::Arrival;
use crate::content::StagedBlob;
use crate::digest::Digest;
use crate::document::Descriptor;
use crate::failure::Remains;
use crate::import::{diff_ids, parse_config};
use crate::layer::{Blob, Job, LayerInfo};
use crate::lease::{Held, Lease, Leftovers};
use crate::locks::Locks;
use crate::reference::Reference;
use crate::remote::Origin;
use crate::retry::Latch;
use crate::store::{Store, chain_ids};
use crate::{Error, LayerError, Result, failure};

/// One image on its way.
pub(super) struct Bring<'a> {
    pub(super) store: &'a Store,
    pub(super) origin: &'a dyn Origin,
    pub(super) reference: &'a Reference,
    pub(super) found: &'a Found,
    pub(super) options: &'a PullOptions,
    locks: Arc<Locks>,
    leases: Vec<Lease>,
}

/// What there is to do for the layers.
struct Work {
    blobs: Vec<Wanted>,
    jobs: Vec<Job>,
    /// For each layer the place of its blob.
    layers: Vec<usize>,
    /// For each blob whether nothing is to be done.
    present: Vec<bool>,
}

impl<'a> Bring<'a> {
    pub(super) fn new(
        store: &'a Store,
        origin: &'a dyn Origin,
        reference: &'a Reference,
        found: &'a Found,
        options: &'a PullOptions,
    ) -> Result<Self> {
        let locks = Locks::open(&store.content.locks())?;
        Ok(Self { store, origin, reference, found, options, locks, leases: Vec::new() })
    }

    /// Brings everything and hands it to `record`, which tells the database. After an error the store is as before, but
    /// for what the next try can use.
    pub(super) fn run<T>(
        mut self,
        conn: &Connection,
        progress: &mut dyn FnMut(PullEvent),
        record: impl FnOnce(&Arrival<'_>) -> Result<T>,
    ) -> Result<T> {
        match self.bring(progress, record) {
            Ok(done) => Ok(done),
            Err(error) => {
                let error = failure::plain(error, "the image", &self.store.root);
                let error = self.suspect_store(error);
                self.clean_up(conn, failure::remains(&error));
                Err(error)
            }
        }
    }

    fn bring<T>(
        &mut self,
        progress: &mut dyn FnMut(PullEvent),
        record: impl FnOnce(&Arrival<'_>) -> Result<T>,
    ) -> Result<T> {
        let manifest = &self.found.manifest;
        let blobs: Vec<Digest> = [&self.found.digest, &manifest.config.digest]
            .into_iter()
            .chain(manifest.layers.iter().map(|layer| &layer.digest))
            .cloned()
            .collect();
        self.leases.push(self.store.lease(Held { blobs: blobs.clone(), layers: Vec::new() })?);

        let (config_blob, config_bytes) = self.config(&manifest.config)?;
        let (config, what) = parse_config(&config_bytes, &manifest.config.digest)?;
        manifest::admit(&config, self.reference, self.options.platform.as_ref())?;
        let diff_ids = diff_ids(&self.options.limits, &config, manifest.layers.len(), &what)?;
        let chains = chain_ids(&diff_ids);
        self.leases.push(self.store.lease(Held { blobs, layers: chains.clone() })?);

        let work = self.work(&chains, &diff_ids)?;
        let mut staging = self.store.content.stage()?;
        let limit = self.options.limits.document;
        let algorithm = self.found.digest.algorithm();
        let staged = staging.write(&mut self.found.bytes.as_slice(), algorithm, limit, "manifest")?;
        let infos = self.layers(&work, config_blob, &staged, progress)?;

        let sizes: Vec<(Digest, u64)> =
            manifest.layers.iter().map(|layer| (layer.digest.clone(), layer.size)).collect();
        record(&Arrival {
            manifest: &self.found.digest,
            id: &manifest.config.digest,
            config_bytes: &config_bytes,
            config: &config,
            chains: &chains,
            infos: &infos,
            blobs: &sizes,
        })
    }

    /// The config, and its blob if that has no name yet.
    fn config(&self, descriptor: &Descriptor) -> Result<(Got, Vec<u8>)> {
        let what = format!("image config {}", descriptor.digest);
        let wanted = Wanted {
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            what: what.clone(),
            growing: Arc::default(),
        };
        let (origin, content, cancel) = (self.origin, &self.store.content, &Latch::default());
        let fetch = Fetch { origin, content, locks: &self.locks, cancel };
        let got = fetch
            .blob(&wanted, true, &mut |_| {})
            .map_err(|error| failure::plain(error, &what, &self.store.root))?;
        let bytes = match &got {
            Got::Fetched(whole) => whole.read(descriptor.size)?,
            Got::Present | Got::Busy => {
                self.store.content.read(&wanted.digest, self.options.limits.document)?
            }
        };
        Ok((got, bytes))
    }

    fn work(&self, chains: &[Digest], diff_ids: &[Digest]) -> Result<Work> {
        let mut work = Work { blobs: Vec::new(), jobs: Vec::new(), layers: Vec::new(), present: Vec::new() };
        for ((layer, chain), diff_id) in self.found.manifest.layers.iter().zip(chains).zip(diff_ids) {
            let known = work.blobs.iter().position(|blob| blob.digest == layer.digest);
            let index = known.unwrap_or_else(|| {
                work.blobs.push(Wanted {
                    digest: layer.digest.clone(),
                    size: layer.size,
                    what: format!("layer {}", layer.digest.short()),
                    growing: Arc::default(),
                });
                work.present.push(self.store.content.size(&layer.digest).is_some());
                work.blobs.len() - 1
            });
            work.layers.push(index);
            let (Some(blob), Some(present)) = (work.blobs.get(index), work.present.get_mut(index)) else {
                continue;
            };
            if blob.size != layer.size {
                let what = format!("layer {}", layer.digest);
                return Err(Error::document(&what, "the manifest gives it two sizes"));
            }
            *present &= self.store.layers.info(chain)?.is_some();
            work.jobs.push(Job {
                chain: chain.clone(),
                diff_id: diff_id.clone(),
                blob: Blob::Growing(Arc::clone(&blob.growing)),
                size: layer.size,
            });
        }
        Ok(work)
    }

    fn layers(
        &self,
        work: &Work,
        config: Got,
        manifest: &StagedBlob,
        progress: &mut dyn FnMut(PullEvent),
    ) -> Result<Vec<LayerInfo>> {
        let unpacking = self.store.layers.unpacking(&work.jobs);
        let session = Session::new(self.store, &work.blobs, Arc::clone(&self.locks), unpacking);
        if let Got::Fetched(whole) = config {
            session.add(whole);
        }
        let downloads = self.options.downloads.max(1);
        let mut display = Display::new(&work.blobs, work.layers.clone(), &work.present);
        display.begin(downloads, progress);
        session.run(self.origin, downloads, &self.options.limits, &mut display, progress).map_err(
            |error| {
                let of_layer = |layer: &Digest| work.jobs.iter().position(|job| job.diff_id == *layer);
                let index = match &error {
                    Error::Layer { layer, .. } => of_layer(layer).and_then(|at| work.layers.get(at)),
                    _ => None,
                };
                let blob = index.and_then(|index| work.blobs.get(*index));
                let what = blob.map_or("a layer", |blob| blob.what.as_str());
                failure::plain(error, what, &self.store.root)
            },
        )?;
        session.finish()?;
        self.store.name_blobs([manifest])?;
        Ok(session.unpacking().infos())
    }

    /// A layer that was in the store and cannot be unpacked may have been damaged there.
    fn suspect_store(&self, error: Error) -> Error {
        let Error::Layer {
            source: LayerError::Format(_) | LayerError::Read(_) | LayerError::DiffId { .. },
            ..
        } = &error
        else {
            return error;
        };
        let damaged = self.found.manifest.layers.iter().find_map(|layer| {
            self.store.content.size(&layer.digest)?;
            self.store.content.verify(&layer.digest).err()
        });
        damaged.unwrap_or(error)
    }

    /// Best effort: what stays behind is removed by a later collection.
    fn clean_up(self, conn: &Connection, remains: Remains) {
        let manifest = &self.found.manifest;
        match remains {
            Remains::All => self.leases.into_iter().for_each(Lease::keep),
            Remains::Whole => {
                for blob in manifest.layers.iter().chain([&manifest.config]) {
                    let _ = partial::discard(&self.store.content, &blob.digest, blob.size);
                }
                self.leases.into_iter().for_each(Lease::keep);
            }
            Remains::Nothing => {
                let held: Vec<Held> = self.leases.iter().map(|lease| lease.held().clone()).collect();
                drop(self.leases);
                for held in held {
                    let _ = self.store.collect(conn, Leftovers::Keep, Some(&held));
                }
            }
        }
    }
}

//! `load`: from an archive to an image that containers can be made of.
//!
//! Per image: its blobs are staged and verified, its layers unpacked beside their final place, everything made durable at
//! once, then named, and only then does the database learn of it. Killed at any point, this leaves temporary files
//! whose locks are free, or whole content that no image uses; the next load or collection removes both. A lease keeps a
//! collection that runs meanwhile from taking what the database does not know yet.

use std::sync::mpsc;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::arrival::Arrival;
use crate::content::StagedBlob;
use crate::digest::Digest;
use crate::import::{self, Import};
use crate::layer::{Blob, Event, Job, LayerInfo};
use crate::lease::Held;
use crate::platform::Platform;
use crate::policy::{Policy, Subject, Transport};
use crate::reference::Reference;
use crate::source::{Input, Source};
use crate::store::{Store, chain_ids};
use crate::{Limits, Result, database, failure};

/// What to load from an archive, and how much of it.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The platform to take from a multi-platform image; this machine's by default.
    pub platform: Option<Platform>,
    pub limits: Limits,
    /// Which images are accepted.
    pub policy: Policy,
}

/// A name that was loaded, or an image without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub reference: Option<Reference>,
    /// The image's id: its config's digest.
    pub id: Digest,
    /// The manifest of the image that had the name before.
    pub replaced: Option<Digest>,
}

/// What a load is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many of the `total` compressed bytes of a layer are unpacked.
    Layer { diff_id: Digest, bytes: u64, total: u64 },
    /// The layer is whole.
    LayerDone { diff_id: Digest },
}

impl Store {
    /// Loads all images of an archive or directory; `progress` hears of their layers.
    ///
    /// # Errors
    /// The first image that cannot be loaded ends it; those before it are in the store.
    pub fn load(
        &self,
        conn: &Connection,
        input: Input<'_>,
        options: &LoadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Loaded>> {
        self.load_all(conn, input, options, progress)
            .map_err(|error| failure::plain(error, "the image", &self.root))
    }

    fn load_all(
        &self,
        conn: &Connection,
        input: Input<'_>,
        options: &LoadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Loaded>> {
        self.make_directories()?;
        self.sweep()?;
        self.expire(conn)?;
        let mut source = Source::open(input, self.content.stage()?, &options.limits)?;
        let platform = options.platform.as_ref();
        let mut loaded = Vec::new();
        for candidate in import::find(&mut source, platform)? {
            let transport = candidate.transport(source.is_directory());
            let import = import::bring(&mut source, candidate, platform)?;
            check_policy(&options.policy, transport, &import)?;
            loaded.extend(self.add(conn, &import, &options.limits, progress)?);
        }
        Ok(loaded)
    }

    /// Unpacks, names and records an image whose blobs are staged.
    pub(crate) fn add(
        &self,
        conn: &Connection,
        import: &Import,
        limits: &Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Loaded>> {
        let chains = chain_ids(&import.diff_ids);
        let blobs: Vec<(Digest, u64)> =
            import.layers.iter().map(|blob| (blob.digest.clone(), blob.size)).collect();
        let documents = [&import.manifest, &import.config_blob];
        let _lease = self.lease(Held {
            blobs: import.layers.iter().chain(documents).map(|blob| blob.digest.clone()).collect(),
            layers: chains.clone(),
        })?;
        let jobs: Vec<Job> = chains
            .iter()
            .zip(&import.diff_ids)
            .zip(&import.layers)
            .map(|((chain, diff_id), blob)| Job {
                chain: chain.clone(),
                diff_id: diff_id.clone(),
                blob: Blob::File(blob.path.clone()),
                size: blob.size,
            })
            .collect();
        let infos = self.unpack(&jobs, limits, progress)?;
        // Those of a parent are at their place already.
        let staged = |blob: &&StagedBlob| blob.path != self.content.path(&blob.digest);
        self.name_blobs(import.layers.iter().chain(documents).filter(staged))?;
        let arrival = Arrival {
            manifest: &import.manifest.digest,
            id: &import.config_blob.digest,
            config_bytes: &import.config_bytes,
            config: &import.config,
            chains: &chains,
            infos: &infos,
            blobs: &blobs,
        };
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        arrival.record(&transaction)?;
        let loaded = |reference, replaced| Loaded { reference, id: arrival.id.clone(), replaced };
        let mut result = Vec::new();
        for name in &import.names {
            let replaced = database::set_name(&transaction, name, arrival.manifest)?;
            result.push(loaded(Some(name.clone()), replaced));
        }
        if result.is_empty() {
            result.push(loaded(None, None));
        }
        transaction.commit()?;
        Ok(result)
    }

    /// Unpacks and names layers from whole blobs. Everything that was written before is durable then, too.
    pub(crate) fn unpack(
        &self,
        jobs: &[Job],
        limits: &Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<LayerInfo>> {
        let unpacking = self.layers.unpacking(jobs);
        let (sender, events) = mpsc::channel();
        std::thread::scope(|scope| {
            let unpacking = &unpacking;
            let work = scope.spawn(move || {
                let tell = |event| {
                    let _ = sender.send(event);
                };
                unpacking.run(limits, &tell)
            });
            for event in events {
                let (layer, bytes) = match event {
                    Event::Read { layer, bytes } => (layer, Some(bytes)),
                    Event::Done { layer } => (layer, None),
                    Event::Failed => continue,
                };
                let Some(job) = jobs.get(layer) else { continue };
                let diff_id = job.diff_id.clone();
                progress(match bytes {
                    Some(bytes) => Progress::Layer { diff_id, bytes, total: job.size },
                    None => Progress::LayerDone { diff_id },
                });
            }
            work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let layers = unpacking.whole()?;
        self.sync()?;
        unpacking.name(layers)?;
        Ok(unpacking.infos())
    }
}

/// Every name counts; so does having none.
fn check_policy(policy: &Policy, transport: Transport, import: &Import) -> Result<()> {
    let digest = &import.manifest.digest;
    let subject = |reference| Subject { transport, reference, digest, manifest: digest };
    if import.names.is_empty() {
        return policy.check(&subject(None));
    }
    import.names.iter().try_for_each(|name| policy.check(&subject(Some(name))))
}

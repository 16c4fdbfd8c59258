//! Unpacks all layers of an image, several at a time.
//!
//! First the layers that are missing are claimed, strictly from the bottom up, so that processes which want the same
//! ones cannot wait for each other in a circle; one that finds a layer being made by another waits for it and takes its
//! work. Then workers take layers from the bottom up. Each writes its own directory and waits for the ones below only
//! when an entry needs them (a parent directory or a link's target that the layer itself does not have).

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};

use super::extract::{Extracted, extract};
use super::metadata;
use super::store::{LayerInfo, LayerStore, write_info};
use super::stream::{self, TooLong};
use crate::digest::Digest;
use crate::tar::TarReader;
use crate::temporary::{NamedLock, TemporaryDirectory};
use crate::{Error, LayerError, Limits, Result};

/// Bytes of a compressed layer between two events.
const EVENT_BYTES: u64 = 1 << 20;

/// One layer to unpack.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) chain: Digest,
    /// What its uncompressed tar must hash to.
    pub(crate) diff_id: Digest,
    /// Its blob, which was verified.
    pub(crate) blob: PathBuf,
    pub(crate) size: u64,
}

/// How far a layer is, by its place in the image.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Read { layer: usize, bytes: u64 },
    Done { layer: usize },
}

/// Layers on disk, the new ones still without their names.
#[derive(Debug)]
pub(crate) struct Unpacked {
    store: LayerStore,
    layers: Vec<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    chain: Digest,
    info: LayerInfo,
    /// `None` if the layer was there already. Dropped before the lock.
    fresh: Option<Fresh>,
}

#[derive(Debug)]
struct Fresh {
    directory: TemporaryDirectory,
    has_root: bool,
    _lock: NamedLock,
}

impl LayerStore {
    /// Unpacks the layers of `jobs` (bottom first) that are not there yet.
    ///
    /// # Errors
    /// That of the lowest layer that failed; nothing is left behind then.
    pub(crate) fn unpack(&self, jobs: &[Job], limits: &Limits, events: &Sender<Event>) -> Result<Unpacked> {
        let shared = Shared { slots: Mutex::new(Vec::with_capacity(jobs.len())), changed: Condvar::new() };
        for job in jobs {
            let slot = self.claim(job)?;
            shared.slots().push(slot);
        }
        let next = AtomicUsize::new(0);
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let (shared, next, events) = (&shared, &next, events.clone());
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(index) else { return };
                        if let Some(lock) = shared.take_claim(index) {
                            shared.finish(index, self.prepare(job, index, lock, shared, limits, &events));
                        }
                        let _ = events.send(Event::Done { layer: index });
                    }
                });
            }
        });
        let unpacked = Unpacked { store: self.clone(), layers: shared.into_layers()? };
        unpacked.inherit_roots()?;
        Ok(unpacked)
    }

    /// Finds the layer, or the right to make it.
    fn claim(&self, job: &Job) -> Result<Slot> {
        let present = || -> Result<Option<Slot>> {
            let Some(info) = self.info(&job.chain)? else { return Ok(None) };
            let prepared = Prepared { chain: job.chain.clone(), info, fresh: None };
            Ok(Some(Slot::Ready { prepared, diff: open_directory(&self.diff(&job.chain))? }))
        };
        if let Some(slot) = present()? {
            return Ok(slot);
        }
        let lock = NamedLock::acquire(&self.temporary(), job.chain.hex())?;
        // Somebody else may have made it while this process waited.
        Ok(present()?.unwrap_or(Slot::Claimed(lock)))
    }

    fn prepare(
        &self,
        job: &Job,
        index: usize,
        lock: NamedLock,
        shared: &Shared,
        limits: &Limits,
        events: &Sender<Event>,
    ) -> Result<(Prepared, Arc<OwnedFd>)> {
        let directory = TemporaryDirectory::create(&self.temporary())?;
        let diff = directory.path().join("diff");
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mkdir(&diff, mode).map_err(|errno| Error::file("create", &diff, errno))?;
        let open = open_directory(&diff)?;
        rustix::fs::fchmod(&open, mode).map_err(|errno| Error::file("set the mode of", &diff, errno))?;
        let top = open.try_clone().map_err(|error| Error::file("open", &diff, error))?;
        let extracted =
            write_layer(job, index, top, shared, limits, events).map_err(|error| layer_error(job, error))?;
        let info =
            LayerInfo { diff_id: job.diff_id.clone(), size: extracted.size, entries: extracted.entries };
        write_info(directory.path(), &info)?;
        let fresh = Fresh { directory, has_root: extracted.has_root, _lock: lock };
        Ok((Prepared { chain: job.chain.clone(), info, fresh: Some(fresh) }, open))
    }
}

/// Decompresses, hashes and writes one layer.
fn write_layer(
    job: &Job,
    index: usize,
    top: OwnedFd,
    shared: &Shared,
    limits: &Limits,
    events: &Sender<Event>,
) -> std::result::Result<Extracted, LayerError> {
    let file = File::open(&job.blob).map_err(LayerError::Read)?;
    let source = Counting { file, layer: index, bytes: 0, reported: 0, events: events.clone() };
    let by_ratio = job.size.saturating_mul(limits.ratio).max(limits.ratio_floor);
    let limit = by_ratio.min(limits.layer);
    let bomb = |error| match error {
        LayerError::Read(error)
            if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<TooLong>) =>
        {
            let limit = if limit == limits.layer {
                format!("{limit} bytes")
            } else {
                format!("{limit} bytes, {} times its compressed size", limits.ratio)
            };
            LayerError::Bomb { limit }
        }
        other => other,
    };
    let lower = || shared.wait_below(index);
    std::thread::scope(|scope| {
        let (chunks, spare, stream) = stream::channel(limit);
        scope.spawn(move || stream::produce(BufReader::with_capacity(128 << 10, source), &chunks, &spare));
        let mut tar = TarReader::new(stream, limits.entries);
        let extracted = extract(&mut tar, top, &lower, limits.layer).map_err(bomb)?;
        let actual = tar.into_inner().finish().map_err(bomb)?;
        if actual != job.diff_id {
            return Err(LayerError::DiffId { expected: job.diff_id.clone(), actual });
        }
        Ok(extracted)
    })
}

impl Unpacked {
    /// Facts about the layers, bottom first.
    pub(crate) fn infos(&self) -> impl Iterator<Item = &LayerInfo> {
        self.layers.iter().map(|layer| &layer.info)
    }

    /// Gives the new layers their names. The caller has made their data durable.
    pub(crate) fn commit(self) -> Result<()> {
        for layer in &self.layers {
            if let Some(fresh) = &layer.fresh {
                let path = self.store.directory(&layer.chain);
                std::fs::rename(fresh.directory.path(), &path)
                    .map_err(|error| Error::file("create", &path, error))?;
            }
        }
        let root = self.store.root();
        open_directory(root)
            .and_then(|root_fd| rustix::fs::fsync(&root_fd).map_err(|errno| Error::file("sync", root, errno)))
    }

    /// overlayfs shows the root directory of the top-most layer: a layer whose archive says nothing about the root gets
    /// the owner and mode of the one below.
    fn inherit_roots(&self) -> Result<()> {
        for pair in self.layers.windows(2) {
            let [below, layer] = pair else { continue };
            let Some(fresh) = layer.fresh.as_ref().filter(|fresh| !fresh.has_root) else { continue };
            let from = open_directory(&self.diff(below))?;
            let to_path = fresh.directory.path().join("diff");
            let to = open_directory(&to_path)?;
            metadata::read(from.as_fd())
                .and_then(|metadata| metadata.apply(to.as_fd()))
                .map_err(|errno| Error::file("set the attributes of", &to_path, errno))?;
        }
        Ok(())
    }

    fn diff(&self, layer: &Prepared) -> PathBuf {
        match &layer.fresh {
            Some(fresh) => fresh.directory.path().join("diff"),
            None => self.store.diff(&layer.chain),
        }
    }
}

enum Slot {
    /// To be made by the worker that comes to it.
    Claimed(NamedLock),
    Working,
    Ready {
        prepared: Prepared,
        diff: Arc<OwnedFd>,
    },
    Failed(Error),
}

struct Shared {
    slots: Mutex<Vec<Slot>>,
    changed: Condvar,
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to make a layer, unless it is there or it is of no use any more.
    fn take_claim(&self, index: usize) -> Option<NamedLock> {
        let mut slots = self.slots();
        if slots.iter().any(|slot| matches!(slot, Slot::Failed(_))) {
            return None;
        }
        let slot = slots.get_mut(index)?;
        match std::mem::replace(slot, Slot::Working) {
            Slot::Claimed(lock) => Some(lock),
            other => {
                *slot = other;
                None
            }
        }
    }

    fn finish(&self, index: usize, result: Result<(Prepared, Arc<OwnedFd>)>) {
        if let Some(slot) = self.slots().get_mut(index) {
            *slot = match result {
                Ok((prepared, diff)) => Slot::Ready { prepared, diff },
                Err(error) => Slot::Failed(error),
            };
        }
        self.changed.notify_all();
    }

    /// All layers, or the failure that was not caused by another one.
    fn into_layers(self) -> Result<Vec<Prepared>> {
        let mut layers = Vec::new();
        let mut failure = None;
        for slot in self.slots.into_inner().unwrap_or_else(PoisonError::into_inner) {
            match slot {
                Slot::Ready { prepared, .. } => layers.push(prepared),
                Slot::Failed(Error::Layer { source: LayerError::Cancelled, .. })
                | Slot::Claimed(_)
                | Slot::Working => {}
                Slot::Failed(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(layers), Err)
    }

    /// The directories of all layers below `index`, top-most first, when all of them are there.
    fn wait_below(&self, index: usize) -> std::result::Result<Vec<Arc<OwnedFd>>, LayerError> {
        let mut slots = self.slots();
        loop {
            let mut below = Vec::with_capacity(index);
            for slot in slots.iter().take(index).rev() {
                match slot {
                    Slot::Ready { diff, .. } => below.push(Arc::clone(diff)),
                    Slot::Failed(_) | Slot::Claimed(_) | Slot::Working => {}
                }
            }
            // After a failure, wherever it was, layers below may stay unmade.
            if slots.iter().any(|slot| matches!(slot, Slot::Failed(_))) {
                return Err(LayerError::Cancelled);
            }
            if below.len() == index {
                return Ok(below);
            }
            slots = self.changed.wait(slots).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Reports how much of a blob was read.
struct Counting {
    file: File,
    layer: usize,
    bytes: u64,
    reported: u64,
    events: Sender<Event>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        if self.bytes - self.reported >= EVENT_BYTES || count == 0 {
            self.reported = self.bytes;
            let _ = self.events.send(Event::Read { layer: self.layer, bytes: self.bytes });
        }
        Ok(count)
    }
}

fn open_directory(path: &std::path::Path) -> Result<Arc<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map(Arc::new)
        .map_err(|errno| Error::file("open", path, errno))
}

fn layer_error(job: &Job, source: LayerError) -> Error {
    Error::Layer { layer: job.diff_id.clone(), source }
}

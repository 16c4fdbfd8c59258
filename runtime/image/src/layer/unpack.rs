//! Unpacks all layers of an image, several at a time, from blobs that may still be on their way.
//!
//! First the layers that are missing are claimed, strictly from the bottom up, so that processes which want the same
//! ones cannot wait for each other in a circle; one that finds a layer being made by another waits for it and takes its
//! work. Then workers take layers from the bottom up. Each writes its own directory and waits for the ones below only
//! when an entry needs them (a parent directory or a link's target that the layer itself does not have).

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use sandbox_tar::metadata;

use super::extract::{Extracted, extract};
use super::slots::{Fresh, Nameless, Ready, Slot, Slots};
use super::store::{LayerInfo, LayerStore, write_info};
use super::stream::{self, TooLong};
use super::tree::Lower;
use crate::digest::Digest;
use crate::growing::{Growing, Outcome};
use crate::locks::{DigestLock, Kind};
use crate::temporary::TemporaryDirectory;
use crate::{Error, LayerError, Limits, Result};
use sandbox_tar::TarReader;

/// Bytes of a compressed layer between two events.
const EVENT_BYTES: u64 = 1 << 20;
/// Time between two looks at a layer that another process makes.
const PAUSE: Duration = Duration::from_millis(20);

/// One layer to unpack.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) chain: Digest,
    /// What its uncompressed tar must hash to.
    pub(crate) diff_id: Digest,
    pub(crate) blob: Blob,
    pub(crate) size: u64,
}

/// Where a layer's content is.
#[derive(Clone, Debug)]
pub(crate) enum Blob {
    /// Whole and verified.
    File(PathBuf),
    Growing(Arc<Growing>),
}

/// How far a layer is, by its place in the image.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Read {
        layer: usize,
        bytes: u64,
    },
    Done {
        layer: usize,
    },
    /// It cannot be made; the others are of no use any more.
    Failed,
}

/// Hears of events, from several threads.
pub(crate) type Events<'a> = dyn Fn(Event) + Sync + 'a;

/// The unpacking of one image's layers.
#[derive(Debug)]
pub(crate) struct Unpacking<'a> {
    store: LayerStore,
    jobs: &'a [Job],
    slots: Slots,
    /// Where layers are made.
    directory: OnceLock<TemporaryDirectory>,
}

impl LayerStore {
    /// Prepares to unpack the layers of `jobs`, bottom first.
    pub(crate) fn unpacking<'a>(&self, jobs: &'a [Job]) -> Unpacking<'a> {
        Unpacking { store: self.clone(), jobs, slots: Slots::new(jobs.len()), directory: OnceLock::new() }
    }
}

impl Unpacking<'_> {
    /// Unpacks the layers that are not there yet.
    ///
    /// # Errors
    /// That of the lowest layer that failed.
    pub(crate) fn run(&self, limits: &Limits, events: &Events<'_>) -> Result<()> {
        self.claim()?;
        let directory = TemporaryDirectory::create(&self.store.temporary())?;
        let directory = self.directory.get_or_init(|| directory).path();
        let next = AtomicUsize::new(0);
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(self.jobs.len());
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = self.jobs.get(index) else { return };
                        if let Some(lock) = self.slots.take_claim(index) {
                            let made = self.make(job, index, directory, lock, limits, events);
                            let failed = made.is_err();
                            self.slots.set(index, made.map_or_else(Slot::Failed, Slot::Ready));
                            if failed {
                                events(Event::Failed);
                            }
                        }
                        if self.slots.is_ready(index) {
                            events(Event::Done { layer: index });
                        }
                    }
                });
            }
        });
        self.slots.failure()
    }

    /// Ends it early, from another thread. What was made and has no name goes.
    pub(crate) fn cancel(&self) {
        self.slots.cancel();
    }

    /// Facts about the layers, bottom first; all of them after [`Unpacking::run`] succeeded.
    pub(crate) fn infos(&self) -> Vec<LayerInfo> {
        self.slots.infos()
    }

    /// Takes the new layers that have only whole ones below: with their data durable they can be named. May be called while
    /// others are in the making.
    pub(crate) fn whole(&self) -> Result<Vec<Nameless>> {
        let nameless = self.slots.take_fresh();
        for layer in nameless.iter().filter(|layer| !layer.fresh.has_root) {
            inherit_root(layer.below.as_deref(), &layer.diff)
                .map_err(|errno| Error::file("set the attributes of", &layer.fresh.directory, errno))?;
        }
        Ok(nameless)
    }

    /// Gives layers their names.
    pub(crate) fn name(&self, layers: Vec<Nameless>) -> Result<()> {
        if layers.is_empty() {
            return Ok(());
        }
        for layer in layers {
            let Some(job) = self.jobs.get(layer.index) else { continue };
            let path = self.store.directory(&job.chain);
            std::fs::rename(&layer.fresh.directory, &path)
                .map_err(|error| Error::file("create", &path, error))?;
        }
        let root = self.store.root();
        let open = open_directory(root)?;
        rustix::fs::fsync(&open).map_err(|errno| Error::file("sync", root, errno))
    }

    /// For each layer finds it, or the right to make it.
    fn claim(&self) -> Result<()> {
        let locks = self.store.locks()?;
        for (index, job) in self.jobs.iter().enumerate() {
            if let Some(ready) = self.present(job)? {
                self.slots.set(index, Slot::Ready(ready));
                continue;
            }
            let wait = || {
                if self.slots.pause(PAUSE) { Ok(()) } else { Err(layer_error(job, LayerError::Cancelled)) }
            };
            let lock = locks.acquire(Kind::Layer, &job.chain, wait)?;
            // Somebody else may have made it while this process waited.
            let slot = self.present(job)?.map_or(Slot::Claimed(lock), Slot::Ready);
            self.slots.set(index, slot);
        }
        Ok(())
    }

    fn present(&self, job: &Job) -> Result<Option<Ready>> {
        let Some(info) = self.store.info(&job.chain)? else { return Ok(None) };
        let diff = open_directory(&self.store.diff(&job.chain))?;
        Ok(Some(Ready { info, diff, fresh: None }))
    }

    fn make(
        &self,
        job: &Job,
        index: usize,
        parent: &Path,
        lock: DigestLock,
        limits: &Limits,
        events: &Events<'_>,
    ) -> Result<Ready> {
        loop {
            let directory = parent.join(index.to_string());
            let diff = directory.join("diff");
            let mode = Mode::from_raw_mode(0o755);
            rustix::fs::mkdir(&directory, Mode::RWXU)
                .map_err(|errno| Error::file("create", &directory, errno))?;
            rustix::fs::mkdir(&diff, mode).map_err(|errno| Error::file("create", &diff, errno))?;
            let open = open_directory(&diff)?;
            rustix::fs::fchmod(&open, mode).map_err(|errno| Error::file("set the mode of", &diff, errno))?;
            let top = open.try_clone().map_err(|error| Error::file("open", &diff, error))?;
            let write = Write { job, top, lower: &|| self.slots.wait_below(index), limits, index, events };
            let Some(extracted) = write.write_blob().map_err(|error| layer_error(job, error))? else {
                std::fs::remove_dir_all(&directory)
                    .map_err(|error| Error::file("remove", &directory, error))?;
                continue;
            };
            let info =
                LayerInfo { diff_id: job.diff_id.clone(), size: extracted.size, entries: extracted.entries };
            write_info(&directory, &info)?;
            let fresh = Fresh { directory, has_root: extracted.has_root, _lock: lock };
            return Ok(Ready { info, diff: open, fresh: Some(fresh) });
        }
    }
}

/// One attempt to write a layer.
struct Write<'a> {
    job: &'a Job,
    top: OwnedFd,
    lower: &'a Lower<'a>,
    limits: &'a Limits,
    index: usize,
    events: &'a Events<'a>,
}

impl Write<'_> {
    /// `None` if the blob turned out wrong and comes again.
    fn write_blob(self) -> std::result::Result<Option<Extracted>, LayerError> {
        let growing = match &self.job.blob {
            Blob::File(path) => {
                let file = File::open(path).map_err(LayerError::Read)?;
                return self.write_stream(file, || {}).map(Some);
            }
            Blob::Growing(growing) => growing,
        };
        let Some(reader) = growing.reader().map_err(LayerError::Read)? else {
            return Err(LayerError::Cancelled);
        };
        let (round, abandon) = (reader.round(), reader.abandon());
        match self.write_stream(reader, move || abandon.abandon()) {
            Ok(extracted) => Ok(Some(extracted)),
            // Wrong bytes may look like a wrong layer: whether they were wrong is known when all of them are here.
            Err(error @ (LayerError::Format(_) | LayerError::Read(_) | LayerError::DiffId { .. })) => {
                match growing.outcome(round) {
                    Outcome::Verified => Err(error),
                    Outcome::Again => Ok(None),
                    Outcome::Failed => Err(LayerError::Cancelled),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Decompresses, hashes and writes; `abandon` ends a reader that waits.
    fn write_stream(
        self,
        reader: impl Read + Send,
        abandon: impl Fn(),
    ) -> std::result::Result<Extracted, LayerError> {
        let Self { job, top, lower, limits, index, events } = self;
        let source = Counting { reader, layer: index, bytes: 0, reported: 0, events };
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
        std::thread::scope(|scope| {
            let (chunks, spare, stream) = stream::channel(limit);
            scope
                .spawn(move || stream::produce(BufReader::with_capacity(128 << 10, source), &chunks, &spare));
            let written = (|| {
                let mut tar = TarReader::new(stream, limits.entries);
                let extracted = extract(&mut tar, top, lower, limits.layer).map_err(bomb)?;
                let actual = tar.into_inner().finish().map_err(bomb)?;
                if actual != job.diff_id {
                    return Err(LayerError::DiffId { expected: job.diff_id.clone(), actual });
                }
                Ok(extracted)
            })();
            if written.is_err() {
                abandon();
            }
            written
        })
    }
}

/// overlayfs shows the root directory of the top-most layer: a layer whose archive says nothing about the root gets the
/// owner and mode of the one below.
fn inherit_root(below: Option<&OwnedFd>, layer: &OwnedFd) -> rustix::io::Result<()> {
    let Some(below) = below else { return Ok(()) };
    metadata::read(below.as_fd())?.apply(layer.as_fd())
}

/// Reports how much of a blob was read.
struct Counting<'a, R> {
    reader: R,
    layer: usize,
    bytes: u64,
    reported: u64,
    events: &'a Events<'a>,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bytes += count as u64;
        if self.bytes - self.reported >= EVENT_BYTES || count == 0 {
            self.reported = self.bytes;
            (self.events)(Event::Read { layer: self.layer, bytes: self.bytes });
        }
        Ok(count)
    }
}

fn open_directory(path: &Path) -> Result<Arc<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map(Arc::new)
        .map_err(|errno| Error::file("open", path, errno))
}

fn layer_error(job: &Job, source: LayerError) -> Error {
    Error::Layer { layer: job.diff_id.clone(), source }
}

//! The work on one image's layers: downloads, unpacking and naming, all at once.
//!
//! Some threads fetch blobs into files; workers unpack the files while they grow. Memory holds a buffer per thread, whatever
//! the sizes of layers. Every few seconds everything that is whole is made durable and named, so that a pull that is
//! killed loses the work of seconds, and other pulls that wait for a layer get it before this one is over.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::display::Display;
use super::fetch::{Fetch, Got, Wanted};
use super::partial::Whole;
use super::progress::{PullEvent, PullState};
use crate::layer::{Event, Unpacking};
use crate::locks::Locks;
use crate::remote::Origin;
use crate::retry::Latch;
use crate::store::Store;
use crate::{Error, LayerError, Limits, Result, failure};

/// Time between two namings. Short in tests, whose pulls are over soon.
const NAMING: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };

/// What threads tell the one that shows it.
pub(super) enum Told {
    Blob { index: usize, state: PullState },
    Layer(Event),
}

/// See the module's documentation.
pub(super) struct Session<'a> {
    store: &'a Store,
    blobs: &'a [Wanted],
    locks: Arc<Locks>,
    unpacking: Unpacking<'a>,
    cancel: Latch,
    over: Latch,
    failure: Mutex<Option<Error>>,
    /// Whole blobs without a name.
    nameless: Mutex<Vec<Whole>>,
}

impl<'a> Session<'a> {
    /// `locks` must not be those of another session: they tell its downloads from those of others.
    pub(super) fn new(
        store: &'a Store,
        blobs: &'a [Wanted],
        locks: Arc<Locks>,
        unpacking: Unpacking<'a>,
    ) -> Self {
        Self {
            store,
            blobs,
            locks,
            unpacking,
            cancel: Latch::default(),
            over: Latch::default(),
            failure: Mutex::default(),
            nameless: Mutex::default(),
        }
    }

    /// Adds a blob that was fetched before.
    pub(super) fn add(&self, blob: Whole) {
        lock(&self.nameless).push(blob);
    }

    pub(super) fn unpacking(&self) -> &Unpacking<'a> {
        &self.unpacking
    }

    /// Fetches and unpacks everything. What is whole at the end has its name already, or gets it by
    /// [`Session::finish`].
    pub(super) fn run(
        &self,
        origin: &dyn Origin,
        downloads: usize,
        limits: &Limits,
        display: &mut Display<'_>,
        progress: &mut dyn FnMut(PullEvent),
    ) -> Result<()> {
        let queue: Mutex<VecDeque<(usize, bool)>> =
            Mutex::new((0..self.blobs.len()).map(|index| (index, false)).collect());
        let (sender, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let naming = scope.spawn(|| self.name_now_and_then());
            for _ in 0..downloads.clamp(1, self.blobs.len().max(1)) {
                let (queue, sender) = (&queue, sender.clone());
                scope.spawn(move || self.fetch(origin, queue, &sender));
            }
            scope.spawn(move || {
                let tell = |event| {
                    // Its error comes when the other workers are done, who must not wait for bytes until then.
                    if matches!(event, Event::Failed) {
                        self.end();
                    }
                    let _ = sender.send(Told::Layer(event));
                };
                if let Err(error) = self.unpacking.run(limits, &tell) {
                    self.fail(error);
                }
            });
            for event in told {
                display.show(&event, progress);
            }
            self.over.set();
            if let Err(panic) = naming.join() {
                std::panic::resume_unwind(panic);
            }
        });
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    /// One thread's downloads.
    fn fetch(&self, origin: &dyn Origin, queue: &Mutex<VecDeque<(usize, bool)>>, sender: &Sender<Told>) {
        // Should the origin panic, those who wait for its bytes must not wait for ever.
        let _guard = Guard(self);
        let fetch = Fetch { origin, content: &self.store.content, locks: &self.locks, cancel: &self.cancel };
        loop {
            let next = lock(queue).pop_front();
            let Some((index, deferred)) = next else { return };
            let Some(wanted) = self.blobs.get(index) else { continue };
            let mut tell = |state| {
                let _ = sender.send(Told::Blob { index, state });
            };
            if self.cancel.is_set() {
                wanted.growing.fail();
                continue;
            }
            match fetch.blob(wanted, deferred, &mut tell) {
                Ok(Got::Present) => tell(PullState::DownloadComplete),
                Ok(Got::Fetched(whole)) => self.add(whole),
                // Blobs that nobody fetches come first.
                Ok(Got::Busy) => {
                    tell(PullState::Waiting);
                    lock(queue).push_back((index, true));
                }
                Err(error) => {
                    wanted.growing.fail();
                    self.fail(failure::plain(error, &wanted.what, &self.store.root));
                }
            }
        }
    }

    /// Ends everything. The first failure is the one that is told.
    fn fail(&self, error: Error) {
        let mut failure = lock(&self.failure);
        if failure.as_ref().is_none_or(is_echo) {
            *failure = Some(error);
        }
        drop(failure);
        self.end();
    }

    /// Tells everybody to stop.
    fn end(&self) {
        self.cancel.set();
        self.unpacking.cancel();
        for blob in self.blobs {
            blob.growing.fail();
        }
    }

    fn name_now_and_then(&self) {
        while !self.over.wait(NAMING) {
            if let Err(error) = self.name_whole() {
                self.fail(error);
                return;
            }
        }
    }

    /// Names what [`Session::run`] brought; everything that was written before, by anybody, is durable then.
    pub(super) fn finish(&self) -> Result<()> {
        self.store.sync()?;
        self.name_whole()
    }

    /// Makes durable and names what is whole.
    fn name_whole(&self) -> Result<()> {
        let blobs = std::mem::take(&mut *lock(&self.nameless));
        let layers = self.unpacking.whole()?;
        if blobs.is_empty() && layers.is_empty() {
            return Ok(());
        }
        self.store.sync()?;
        for blob in blobs {
            blob.commit(&self.store.content)?;
        }
        self.unpacking.name(layers)
    }
}

/// Ends the session with a thread that panics.
struct Guard<'a>(&'a Session<'a>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

/// The error says only that another one came first.
fn is_echo(error: &Error) -> bool {
    matches!(error, Error::Cancelled | Error::Layer { source: LayerError::Cancelled, .. })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

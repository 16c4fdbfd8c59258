//! The upload of blobs, several at a time.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};

use super::progress::{PushEvent, PushState};
use crate::content::ContentStore;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::remote::Target;
use crate::retry::{Latch, Retry, retrying};
use crate::{Error, Result};

/// Repositories that a blob is asked for before it is uploaded.
const MOUNTS: usize = 4;
/// Bytes between two reports.
const REPORT: u64 = 512 << 10;

/// A blob to push.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) blob: Digest,
    pub(super) size: u64,
    /// What the display calls it; the config is not shown.
    pub(super) shown: Option<Digest>,
    /// Repositories of the same registry that have it.
    pub(super) sources: Vec<String>,
}

/// Brings all blobs to the registry, at most `count` at a time. The first failure ends it.
pub(super) fn all(
    content: &ContentStore,
    target: &dyn Target,
    reference: &Reference,
    uploads: &[Upload],
    count: usize,
    progress: &mut dyn FnMut(PushEvent),
) -> Result<()> {
    let mut tell = |upload: &Upload, state| {
        if let Some(layer) = upload.shown.clone() {
            progress(PushEvent { layer, state });
        }
    };
    for upload in uploads {
        tell(upload, PushState::Preparing);
    }
    for upload in uploads.iter().skip(count) {
        tell(upload, PushState::Waiting);
    }
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<Error>> = Mutex::default();
    let cancel = Latch::default();
    let (sender, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..count.clamp(1, uploads.len().max(1)) {
            let (next, failure, cancel, sender) = (&next, &failure, &cancel, sender.clone());
            scope.spawn(move || {
                while !cancel.is_set() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(upload) = uploads.get(index) else { return };
                    let push = Push { content, target, reference, upload, index, cancel, told: &sender };
                    if let Err(error) = push.run() {
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        cancel.set();
                    }
                }
            });
        }
        drop(sender);
        for (index, state) in told {
            if let Some(upload) = uploads.get(index) {
                tell(upload, state);
            }
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

struct Push<'a> {
    content: &'a ContentStore,
    target: &'a dyn Target,
    reference: &'a Reference,
    upload: &'a Upload,
    index: usize,
    cancel: &'a Latch,
    told: &'a Sender<(usize, PushState)>,
}

impl Push<'_> {
    fn run(&self) -> Result<()> {
        let blob = &self.upload.blob;
        let what = format!("blob {blob}");
        if retrying(&what, self.cancel, || self.target.has_blob(blob))? {
            self.tell(PushState::LayerAlreadyExists);
            return Ok(());
        }
        let elsewhere = self.upload.sources.iter().filter(|source| *source != self.reference.path());
        for source in elsewhere.take(MOUNTS) {
            if retrying(&what, self.cancel, || self.target.mount_blob(blob, source))? {
                self.tell(PushState::MountedFrom(source.clone()));
                return Ok(());
            }
        }
        let mut retry = Retry::default();
        // A blob that is missing here is not the registry's fault.
        self.content.open_blob(blob)?;
        let open = || -> std::io::Result<Box<dyn Read + Send>> {
            let reader = self.content.open_verified(blob).map_err(std::io::Error::other)?;
            let (index, total, told) = (self.index, self.upload.size, self.told.clone());
            Ok(Box::new(Counting { reader, index, told, total, bytes: 0, reported: None }))
        };
        loop {
            match self.target.put_blob(blob, self.upload.size, &open) {
                Ok(()) => {
                    self.tell(PushState::Pushed);
                    return Ok(());
                }
                Err(error) => {
                    // What the registry makes of a blob that is damaged here says nothing.
                    if error.kind != crate::RemoteErrorKind::Transient {
                        self.content.verify(blob)?;
                    }
                    let pause = retry.failed(&format!("{what} to the registry"), error)?;
                    self.tell(PushState::Retrying { seconds: pause.as_secs_f64().ceil() as u64 });
                    if self.cancel.wait(pause) {
                        return Err(Error::Cancelled);
                    }
                }
            }
        }
    }

    fn tell(&self, state: PushState) {
        let _ = self.told.send((self.index, state));
    }
}

/// Reports how much of a blob was taken.
struct Counting<R> {
    reader: R,
    index: usize,
    told: Sender<(usize, PushState)>,
    total: u64,
    bytes: u64,
    reported: Option<u64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bytes += count as u64;
        if count > 0 && (self.reported.is_none_or(|at| self.bytes - at >= REPORT) || self.bytes >= self.total)
        {
            self.reported = Some(self.bytes);
            let state = PushState::Pushing { current: self.bytes, total: self.total };
            let _ = self.told.send((self.index, state));
        }
        Ok(count)
    }
}

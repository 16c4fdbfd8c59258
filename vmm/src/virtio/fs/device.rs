//! The device as the transport sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::io::Errno;
use virtio_bindings::bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ids::VIRTIO_ID_FS;
use virtio_queue::QueueT;

use super::blocked::Blocked;
use super::filesystem::FileSystem;
use super::inodes::Limits;
use super::passthrough::{Passthrough, ShareRoot};
use super::pool::Pool;
use super::read_only::ReadOnly;
use super::server::Server;
use super::worker::{Lane, Shared};
use crate::config::FsConfig;
use crate::thread::{self, ThreadKind};
use crate::virtio::{ActivateError, ActivationContext, VirtioDevice};

/// Length of the tag in the configuration space, padded with NULs (virtio 1.2, section 5.11.4).
const TAG_LEN: usize = 36;
/// Offered request queues; the guest uses no more than it has CPUs.
const REQUEST_QUEUES: usize = 4;
/// Threads besides one per request queue, for requests that wait for a disk.
const SPARE_THREADS: usize = 3;
/// A READ or WRITE of 1 MiB takes 260 descriptors if the guest does not use indirect ones.
const REQUEST_QUEUE_SIZE: u16 = 512;
const HIGH_PRIORITY_QUEUE_SIZE: u16 = 128;

const QUEUE_SIZES: [u16; 1 + REQUEST_QUEUES] = {
    let mut sizes = [REQUEST_QUEUE_SIZE; 1 + REQUEST_QUEUES];
    sizes[0] = HIGH_PRIORITY_QUEUE_SIZE;
    sizes
};

/// Why a share cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    #[error("cannot share {path}: its tag \"{tag}\" must have 1 to 36 bytes and no NUL")]
    Tag { path: std::path::PathBuf, tag: String },
    #[error("cannot share {path}: reading the attributes of its root: {errno}")]
    Root { path: std::path::PathBuf, errno: Errno },
}

/// A virtio-fs device.
#[derive(Debug)]
pub struct Fs {
    tag: [u8; TAG_LEN],
    server: Arc<Server>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Fs {
    /// A device that serves `root`, which [`ShareRoot::open`] has opened in this process before the jail. Opens
    /// nothing itself; call it after RLIMIT_NOFILE is final, of which it takes its share.
    ///
    /// # Errors
    /// If the tag does not fit or the root is not there any more.
    pub fn new(config: &FsConfig, root: ShareRoot) -> Result<Self, FsError> {
        let bytes = config.tag.as_bytes();
        let mut tag = [0; TAG_LEN];
        let fits = !bytes.is_empty() && !bytes.contains(&0);
        match tag.get_mut(..bytes.len()).filter(|_| fits) {
            Some(room) => room.copy_from_slice(bytes),
            None => return Err(FsError::Tag { path: config.path.clone(), tag: config.tag.clone() }),
        }
        let files = Passthrough::new(root, config.cache, config.read_only, Limits::of_process())
            .map_err(|errno| FsError::Root { path: config.path.clone(), errno })?;
        let files: Box<dyn FileSystem> =
            if config.read_only { Box::new(ReadOnly::new(files)) } else { Box::new(files) };
        Ok(Self { tag, server: Arc::new(Server::new(files)), running: None })
    }

    fn start(&mut self, context: ActivationContext) -> std::io::Result<()> {
        let ActivationContext { memory, features, queues, interrupt } = context;
        let mut lanes = Vec::with_capacity(queues.len());
        for mut active in queues {
            if active.queue.ready() {
                active.queue.set_event_idx(features & (1 << VIRTIO_RING_F_EVENT_IDX) != 0);
                lanes.push(Lane::new(active, Arc::clone(&interrupt))?);
            }
        }
        if lanes.len() < 2 {
            return Err(std::io::Error::other("the driver has set up no request queue"));
        }
        let requests = lanes.split_off(1);
        let Some(high_priority) = lanes.pop() else {
            return Err(std::io::Error::other("the driver has set up no queue"));
        };
        let count = requests.len();
        let shared = Arc::new(Shared {
            memory: Arc::new(memory),
            server: Arc::clone(&self.server),
            high_priority,
            requests,
            pool: Pool::new(count),
            blocked: Blocked::new(),
            stopped: AtomicBool::new(false),
        });
        let running = self
            .running
            .insert(Running { shared: Arc::clone(&shared), threads: Vec::with_capacity(count + 4) });
        for number in 0..count + SPARE_THREADS {
            let shared = Arc::clone(&shared);
            let thread =
                thread::spawn(ThreadKind::Fs, &format!("fs{number}"), move || shared.serve_requests())?;
            running.threads.push(thread);
        }
        let thread = thread::spawn(ThreadKind::Fs, "fs-hiprio", move || shared.serve_high_priority())?;
        running.threads.push(thread);
        Ok(())
    }
}

impl VirtioDevice for Fs {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_FS
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn features(&self) -> u64 {
        1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_INDIRECT_DESC | 1 << VIRTIO_RING_F_EVENT_IDX
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut space = [0; TAG_LEN + 4];
        for (to, from) in space.iter_mut().zip(self.tag.iter().chain(&(REQUEST_QUEUES as u32).to_le_bytes()))
        {
            *to = *from;
        }
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = from.checked_add(index).and_then(|at| space.get(at)).copied().unwrap_or(0);
        }
    }

    /// Nothing in this device's space can be written.
    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        self.reset();
        self.start(context).map_err(|error| {
            self.reset();
            ActivateError(format!("virtio-fs: starting its threads: {error}"))
        })
    }

    fn reset(&mut self) {
        let Some(Running { shared, threads }) = self.running.take() else { return };
        shared.stopped.store(true, Ordering::Release);
        shared.pool.stop();
        shared.high_priority.wake();
        shared.requests.iter().for_each(Lane::wake);
        for thread in threads {
            // A worker that panicked has printed why; there is nothing of it to clean up.
            let _ = thread.join();
        }
        self.server.reset();
    }
}

impl Drop for Fs {
    fn drop(&mut self) {
        self.reset();
    }
}

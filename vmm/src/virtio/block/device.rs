//! The device as the transport sees it.

use std::fs::File;
use std::sync::Arc;

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX,
    VIRTIO_BLK_F_WRITE_ZEROES,
};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;

use super::disk::{BlockError, Disk, SECTOR};
use super::request::{MAX_DISCARD, MAX_RANGES, MAX_ZEROES};
use super::service::BlockService;
use crate::config::BlockConfig;
use crate::thread::ThreadKind;
use crate::virtio::device::{ActivateError, ActivationContext, VirtioDevice};
use crate::virtio::features;
use crate::virtio::worker::Worker;

const QUEUE_SIZES: [u16; 1] = [128];
/// Data buffers of a request: the ring less header and status.
const SEG_MAX: u32 = QUEUE_SIZES[0] as u32 - 2;
const CONFIG_LEN: usize = 60;

/// The block device.
#[derive(Debug)]
pub struct Block {
    disk: Arc<Disk>,
    workers: Vec<Worker>,
}

impl Block {
    /// `file` is `config.path`, opened for reading, and for writing too unless the disk is read-only.
    ///
    /// # Errors
    /// If the file is not a disk, or cannot be written although it should be.
    pub fn new(config: &BlockConfig, file: File) -> Result<Self, BlockError> {
        Ok(Self { disk: Arc::new(Disk::new(config, file)?), workers: Vec::new() })
    }

    /// `struct virtio_blk_config` (virtio 1.2, section 5.2.4), up to write_zeroes_may_unmap.
    fn config(&self) -> [u8; CONFIG_LEN] {
        let mut config = [0; CONFIG_LEN];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(to) = config.get_mut(at..at + bytes.len()) {
                to.copy_from_slice(bytes);
            }
        };
        put(0, &self.disk.sectors.to_le_bytes());
        put(12, &SEG_MAX.to_le_bytes());
        put(20, &self.disk.block_size.to_le_bytes());
        put(36, &MAX_DISCARD.to_le_bytes());
        put(40, &MAX_RANGES.to_le_bytes());
        put(44, &(self.disk.block_size / SECTOR as u32).to_le_bytes());
        put(48, &MAX_ZEROES.to_le_bytes());
        put(52, &MAX_RANGES.to_le_bytes());
        put(56, &[1]);
        config
    }
}

impl VirtioDevice for Block {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn features(&self) -> u64 {
        let common = features::BASE
            | features::INDIRECT
            | (1 << VIRTIO_BLK_F_SEG_MAX)
            | (1 << VIRTIO_BLK_F_BLK_SIZE)
            | (1 << VIRTIO_BLK_F_FLUSH);
        if self.disk.read_only {
            common | (1 << VIRTIO_BLK_F_RO)
        } else {
            common | (1 << VIRTIO_BLK_F_DISCARD) | (1 << VIRTIO_BLK_F_WRITE_ZEROES)
        }
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        features::read_config_bytes(&self.config(), offset, data);
    }

    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        let ActivationContext { memory, features, queues, interrupt } = context;
        let write_through = features & (1 << VIRTIO_BLK_F_FLUSH) == 0;
        let mut workers = Vec::with_capacity(queues.len());
        for (number, queue) in queues.into_iter().enumerate() {
            let service = BlockService::new(
                memory.clone(),
                queue,
                Arc::clone(&interrupt),
                features,
                Arc::clone(&self.disk),
                write_through,
            );
            let worker = Worker::spawn(ThreadKind::Block, &format!("virtio-blk-{number}"), service)
                .map_err(|error| ActivateError(format!("cannot start a block worker: {error}")))?;
            workers.push(worker);
        }
        self.workers = workers;
        Ok(())
    }

    fn reset(&mut self) {
        self.workers.clear();
    }
}

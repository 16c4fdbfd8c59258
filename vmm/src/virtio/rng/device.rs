//! The device as the transport sees it.

use virtio_bindings::virtio_ids::VIRTIO_ID_RNG;

use super::service::RngService;
use crate::thread::ThreadKind;
use crate::virtio::device::{ActivateError, ActivationContext, VirtioDevice};
use crate::virtio::features;
use crate::virtio::worker::Worker;

const QUEUE_SIZES: [u16; 1] = [64];

/// The entropy device.
#[derive(Debug, Default)]
pub struct Rng {
    worker: Option<Worker>,
}

impl Rng {
    pub fn new() -> Self {
        Self::default()
    }
}

impl VirtioDevice for Rng {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_RNG
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn features(&self) -> u64 {
        features::BASE
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        features::read_config_bytes(&[], offset, data);
    }

    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        let service = RngService::new(context)?;
        let worker = Worker::spawn(ThreadKind::Rng, "virtio-rng", service)
            .map_err(|error| ActivateError(format!("cannot start the rng worker: {error}")))?;
        self.worker = Some(worker);
        Ok(())
    }

    fn reset(&mut self) {
        self.worker = None;
    }
}

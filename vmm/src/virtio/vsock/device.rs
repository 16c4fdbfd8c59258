//! The device as the transport sees it, and the handle by which the machine resets its connections.

use std::io;
use std::sync::Arc;

use virtio_bindings::virtio_ids::VIRTIO_ID_VSOCK;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::host::VsockHost;
use super::service::VsockService;
use crate::thread::ThreadKind;
use crate::virtio::device::{ActivateError, ActivationContext, VirtioDevice};
use crate::virtio::features;
use crate::virtio::worker::Worker;

/// Receive, transmit, event. Linux fills the receive queue with buffers of 4 KiB; it posts 8 event buffers.
const QUEUE_SIZES: [u16; 3] = [128, 128, 8];

/// The socket device.
#[derive(Debug)]
pub struct Vsock {
    guest_cid: u64,
    host: Arc<VsockHost>,
    reset_request: Arc<EventFd>,
    worker: Option<Worker>,
}

/// Acts on the connections of a running device. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct VsockHandle {
    reset_request: Arc<EventFd>,
}

impl VsockHandle {
    /// Ends all connections and tells the guest so (VIRTIO_VSOCK_EVENT_TRANSPORT_RESET). Takes effect on the
    /// device's thread, or when there is one.
    pub fn reset_transport(&self) {
        // The counter cannot overflow: each read empties it.
        let _ = self.reset_request.write(1);
    }
}

impl Vsock {
    /// `cid` is the guest's context id, 3 or more.
    ///
    /// # Errors
    /// If the process has no more files.
    pub fn new(cid: u32, host: VsockHost) -> io::Result<Self> {
        Ok(Self {
            guest_cid: u64::from(cid),
            host: Arc::new(host),
            reset_request: Arc::new(EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?),
            worker: None,
        })
    }

    pub fn handle(&self) -> VsockHandle {
        VsockHandle { reset_request: Arc::clone(&self.reset_request) }
    }
}

impl VirtioDevice for Vsock {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_VSOCK
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn features(&self) -> u64 {
        features::BASE
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        features::read_config_bytes(&self.guest_cid.to_le_bytes(), offset, data);
    }

    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        let cannot_start =
            |error: io::Error| ActivateError(format!("cannot start the vsock worker: {error}"));
        let reset_request = self.reset_request.try_clone().map_err(cannot_start)?;
        let service = VsockService::new(context, self.guest_cid, Arc::clone(&self.host), reset_request)?;
        self.worker = Some(Worker::spawn(ThreadKind::Vsock, "virtio-vsock", service).map_err(cannot_start)?);
        Ok(())
    }

    fn reset(&mut self) {
        self.worker = None;
    }
}

//! The device as the transport sees it.

use std::io;
use std::sync::Arc;

use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_S_LINK_UP,
};

use super::frame::{LARGE_FRAME, Rules, ordinary_frame};
use super::offload;
use super::rx::{Layout, RxService};
use super::tap::Tap;
use super::tx::TxService;
use crate::config::NetConfig;
use crate::thread::ThreadKind;
use crate::virtio::device::{ActivateError, ActivationContext, VirtioDevice};
use crate::virtio::features;
use crate::virtio::worker::Worker;

/// Receive and transmit of one pair.
const QUEUE_SIZES: [u16; 2] = [256, 256];
/// What Ethernet carries unless configured otherwise.
const DEFAULT_MTU: u16 = 1500;

/// The network device.
#[derive(Debug)]
pub struct Net {
    tap: Arc<Tap>,
    mac: [u8; 6],
    mtu: Option<u16>,
    workers: Vec<Worker>,
}

impl Net {
    /// A device on an attached tap. The configuration was validated with its machine.
    pub fn new(config: &NetConfig, tap: Tap) -> Self {
        Self { tap: Arc::new(tap), mac: config.mac, mtu: config.mtu, workers: Vec::new() }
    }

    /// `struct virtio_net_config` (virtio 1.2, section 5.1.4), up to mtu.
    fn config(&self) -> [u8; 12] {
        let mut config = [0; 12];
        let (mac, rest) = config.split_at_mut(6);
        mac.copy_from_slice(&self.mac);
        // Status, pairs of queues, MTU.
        let fields = [VIRTIO_NET_S_LINK_UP as u16, 1, self.mtu.unwrap_or(DEFAULT_MTU)];
        for (to, from) in rest.chunks_exact_mut(2).zip(fields) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        config
    }
}

impl VirtioDevice for Net {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_NET
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn features(&self) -> u64 {
        let always = features::BASE
            | features::INDIRECT
            | (1 << VIRTIO_NET_F_MAC)
            | (1 << VIRTIO_NET_F_STATUS)
            | (1 << VIRTIO_NET_F_MRG_RXBUF);
        let mtu = if self.mtu.is_some() { 1 << VIRTIO_NET_F_MTU } else { 0 };
        always | mtu | offload::features(self.tap.offloads)
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        features::read_config_bytes(&self.config(), offset, data);
    }

    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        let cannot_start = |error: io::Error| ActivateError(format!("cannot start a net worker: {error}"));
        let ActivationContext { memory, features, queues, interrupt } = context;
        let mut queues = queues.into_iter();
        let (Some(rx), Some(tx)) = (queues.next(), queues.next()) else {
            return Err(ActivateError("net needs two queues".to_owned()));
        };
        let longest = if offload::large_frames(features) {
            LARGE_FRAME
        } else {
            ordinary_frame(self.mtu.unwrap_or(DEFAULT_MTU))
        };
        let layout = Layout {
            features,
            mergeable: features & (1 << VIRTIO_NET_F_MRG_RXBUF) != 0,
            longest,
            offloads: offload::offloads(features),
        };
        let rules = Rules { features, mtu: self.mtu };
        let rx = RxService::new(memory.clone(), rx, Arc::clone(&interrupt), Arc::clone(&self.tap), layout);
        let tx = TxService::new(memory, tx, interrupt, Arc::clone(&self.tap), rules);
        self.workers = vec![
            Worker::spawn(ThreadKind::Net, "virtio-net-rx", rx).map_err(cannot_start)?,
            Worker::spawn(ThreadKind::Net, "virtio-net-tx", tx).map_err(cannot_start)?,
        ];
        Ok(())
    }

    fn reset(&mut self) {
        self.workers.clear();
    }
}

//! INIT, FORGET, INTERRUPT: requests about the session rather than about files.

use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::{Outcome, Reply, Request, Server};
use crate::virtio::fs::filesystem::FsResult;
use crate::virtio::fs::protocol::init::{KERNEL_MINOR_VERSION, KERNEL_VERSION, MIN_MINOR_VERSION};
use crate::virtio::fs::protocol::requests::{BatchForgetIn, ForgetIn, ForgetOne, InterruptIn};
use crate::virtio::fs::protocol::{InitFlags, InitIn, InitOut, MAX_TRANSFER};

/// Requests that the guest may have under way in the background (readahead, writeback, asynchronous I/O).
const MAX_BACKGROUND: u16 = 64;
/// From here on the guest's writeback holds back.
const CONGESTION_THRESHOLD: u16 = 48;

impl Server {
    pub(super) fn init(&self, r: &mut Request<'_, '_>) -> FsResult<InitOut> {
        let offer: InitIn = r.body.take()?;
        if offer.major < KERNEL_VERSION || (offer.major == KERNEL_VERSION && offer.minor < MIN_MINOR_VERSION)
        {
            return Err(Errno::PROTO);
        }
        let answer = InitOut { major: KERNEL_VERSION, minor: KERNEL_MINOR_VERSION, ..InitOut::default() };
        if offer.major > KERNEL_VERSION {
            // The guest shall ask again with our version.
            return Ok(answer);
        }
        let mut capable = u64::from(offer.flags);
        if InitFlags(capable).contains(InitFlags::INIT_EXT) {
            let high: u32 = r.body.take()?;
            capable |= u64::from(high) << 32;
        }
        let chosen = self.fs.init(InitFlags(capable)).intersection(InitFlags(capable));
        self.long_setxattr.store(chosen.contains(InitFlags::SETXATTR_EXT), Ordering::Relaxed);
        self.initialized.store(true, Ordering::Release);
        Ok(InitOut {
            minor: offer.minor.min(KERNEL_MINOR_VERSION),
            max_readahead: offer.max_readahead.min(MAX_TRANSFER),
            flags: chosen.0 as u32,
            flags2: (chosen.0 >> 32) as u32,
            max_background: MAX_BACKGROUND,
            congestion_threshold: CONGESTION_THRESHOLD,
            max_write: MAX_TRANSFER,
            time_gran: 1,
            max_pages: (MAX_TRANSFER / 4096) as u16,
            ..answer
        })
    }

    pub(super) fn forget(&self, r: &mut Request<'_, '_>) {
        if let Ok(ForgetIn { nlookup }) = r.body.take() {
            self.fs.forget(r.header.nodeid, nlookup);
        }
    }

    pub(super) fn batch_forget(&self, r: &mut Request<'_, '_>) {
        let Ok(BatchForgetIn { count, .. }) = r.body.take() else { return };
        // The count is only a claim: the body ends the loop.
        for _ in 0..count {
            let Ok(ForgetOne { nodeid, nlookup }) = r.body.take() else { return };
            self.fs.forget(nodeid, nlookup);
        }
    }

    pub(super) fn interrupt_request(r: &mut Request<'_, '_>, reply: &Reply<'_, '_>) -> Outcome {
        match r.body.take() {
            Ok(InterruptIn { unique }) => Outcome::Interrupted(unique),
            Err(errno) => reply.error(errno),
        }
    }
}

//! `system df`: how much of the disk images take, and how much of that could go.

use rusqlite::Connection;

use crate::Result;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::removal::ImageUser;
use crate::store::Store;

/// All images together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// By id, the newest first.
    pub images: Vec<ImageUsage>,
    /// How many of them a container uses.
    pub active: usize,
    /// Bytes of the files of all layers, each layer counted once: Docker's SIZE.
    pub size: u64,
    /// Those of `size` that removing all images without a container would free: Docker's RECLAIMABLE.
    pub reclaimable: u64,
    /// Bytes of all blobs (configs, manifests and compressed layers), which `size` does not count.
    pub blobs: u64,
    /// Bytes that no image needs: parts of pulls that ended early, and content on its way.
    pub leftovers: u64,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUsage {
    pub id: Digest,
    pub names: Vec<Reference>,
    /// Seconds since 1970, if the image says so.
    pub created: Option<i64>,
    /// Bytes of the files of its layers.
    pub size: u64,
    /// Those of `size` in layers that other images have too.
    pub shared: u64,
    /// Those of `size` in layers that no other image has.
    pub unique: u64,
    /// How many containers use it.
    pub containers: usize,
}

impl Store {
    /// `users` are all containers.
    pub fn usage(&self, conn: &Connection, users: &[ImageUser]) -> Result<Usage> {
        let _ = (conn, users);
        crate::error::in_the_making("usage")
    }
}

//! Where unpacked layers are: `layers/<chain id>/diff`, one per chain id, made in `layers/tmp` and renamed when whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::locks::Locks;
use crate::{Error, Result};

/// Beside `diff`: what is worth knowing about the layer without walking it.
const INFO: &str = "layer.json";

/// The directory of unpacked layers.
#[derive(Clone, Debug)]
pub(crate) struct LayerStore {
    root: PathBuf,
    locks: PathBuf,
}

/// Facts about an unpacked layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerInfo {
    /// The digest of its uncompressed tar.
    pub(crate) diff_id: Digest,
    /// Bytes of its files.
    pub(crate) size: u64,
    /// Entries of its tar.
    pub(crate) entries: u64,
}

impl LayerStore {
    /// `locks` is the store's file of locks.
    pub(crate) fn at(root: PathBuf, locks: PathBuf) -> Self {
        Self { root, locks }
    }

    pub(super) fn locks(&self) -> Result<Arc<Locks>> {
        Locks::open(&self.locks)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The directory of a layer, which holds `diff` and the facts.
    pub(crate) fn directory(&self, chain: &Digest) -> PathBuf {
        self.root.join(chain.hex())
    }

    /// The lower directory for overlayfs.
    pub(crate) fn diff(&self, chain: &Digest) -> PathBuf {
        self.directory(chain).join("diff")
    }

    /// `None` if the layer is not unpacked.
    pub(crate) fn info(&self, chain: &Digest) -> Result<Option<LayerInfo>> {
        let path = self.directory(chain).join(INFO);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path, error)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Error::document(&path.to_string_lossy(), error))
    }
}

/// Writes the facts beside the `diff` of a layer in the making.
pub(super) fn write_info(directory: &Path, info: &LayerInfo) -> Result<()> {
    let path = directory.join(INFO);
    let bytes = serde_json::to_vec(info).map_err(|error| Error::document("layer facts", error))?;
    std::fs::write(&path, bytes).map_err(|error| Error::file("write", &path, error))
}

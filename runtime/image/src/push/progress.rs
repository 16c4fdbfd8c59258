//! What a push tells while it runs, in the words of Docker's progress display.

use std::fmt;

use crate::digest::Digest;

/// Something happened to one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushEvent {
    /// The digest of the layer's uncompressed content, which is what Docker shows here ([`Digest::short`]).
    pub layer: Digest,
    pub state: PushState,
}

/// Where a layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushState {
    Preparing,
    /// Others come first.
    Waiting,
    /// So many of `total` bytes were taken by the connection.
    Pushing {
        current: u64,
        total: u64,
    },
    /// The upload broke; the next try begins after a pause.
    Retrying {
        seconds: u64,
    },
    Pushed,
    LayerAlreadyExists,
    /// The registry took it over from that repository.
    MountedFrom(String),
}

impl fmt::Display for PushState {
    /// Docker's words, without the bar and the figures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preparing => f.write_str("Preparing"),
            Self::Waiting => f.write_str("Waiting"),
            Self::Pushing { .. } => f.write_str("Pushing"),
            Self::Retrying { seconds: 1 } => f.write_str("Retrying in 1 second"),
            Self::Retrying { seconds } => write!(f, "Retrying in {seconds} seconds"),
            Self::Pushed => f.write_str("Pushed"),
            Self::LayerAlreadyExists => f.write_str("Layer already exists"),
            Self::MountedFrom(repository) => write!(f, "Mounted from {repository}"),
        }
    }
}

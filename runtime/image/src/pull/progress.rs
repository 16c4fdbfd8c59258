//! What a pull tells while it runs, in the words of Docker's progress display.

use std::fmt;

use crate::digest::Digest;

/// Something happened to one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullEvent {
    /// The layer's blob; displays show [`Digest::short`] of it.
    pub layer: Digest,
    pub state: PullState,
}

/// Where a layer is. The states of one layer come in the order of the variants, except that it may go back from
/// `Retrying` or `VerifyingChecksum` to `Downloading`. Much of a layer is unpacked while it is downloaded, which is shown
/// as the download only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullState {
    /// It is unpacked here already, and its blob is here.
    AlreadyExists,
    PullingFsLayer,
    /// Others come first, or another pull fetches the same.
    Waiting,
    /// So many of `total` bytes are here; some may be from a pull before.
    Downloading {
        current: u64,
        total: u64,
    },
    /// The connection broke; the next try begins after a pause.
    Retrying {
        seconds: u64,
    },
    VerifyingChecksum,
    DownloadComplete,
    /// So many of the `total` compressed bytes are unpacked.
    Extracting {
        current: u64,
        total: u64,
    },
    PullComplete,
}

impl fmt::Display for PullState {
    /// Docker's words, without the bar and the figures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists => f.write_str("Already exists"),
            Self::PullingFsLayer => f.write_str("Pulling fs layer"),
            Self::Waiting => f.write_str("Waiting"),
            Self::Downloading { .. } => f.write_str("Downloading"),
            Self::Retrying { seconds: 1 } => f.write_str("Retrying in 1 second"),
            Self::Retrying { seconds } => write!(f, "Retrying in {seconds} seconds"),
            Self::VerifyingChecksum => f.write_str("Verifying Checksum"),
            Self::DownloadComplete => f.write_str("Download complete"),
            Self::Extracting { .. } => f.write_str("Extracting"),
            Self::PullComplete => f.write_str("Pull complete"),
        }
    }
}

//! Layers: tar streams turned into directories that overlayfs stacks.
//!
//! [`Unpacking::run`] brings all layers of an image to disk at once, several in parallel, each into a temporary
//! directory; [`Unpacking::commit`] gives whole and verified ones their names.

mod data;
mod device;
mod extract;
mod fs;
mod path;
mod slots;
mod store;
mod stream;
mod tree;
mod unpack;
mod whiteout;

use std::io;

use crate::LayerError;
use sandbox_tar::TarError;

pub(crate) use self::store::{LayerInfo, LayerStore};
pub(crate) use self::stream::decompress;
pub(crate) use self::unpack::{Blob, Event, Job, Unpacking};

/// Why an entry is not accepted, as the end of a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(&'static str);

fn refused(path: &[u8], refusal: Refusal) -> LayerError {
    LayerError::Refused { path: shown(path), reason: refusal.0.to_owned() }
}

fn entry_error(path: &[u8], action: &'static str, source: impl Into<io::Error>) -> LayerError {
    LayerError::Entry { path: shown(path), action, source: source.into() }
}

fn shown(path: &[u8]) -> String {
    crate::digest::clip(&String::from_utf8_lossy(path))
}

fn tar_error(error: TarError) -> LayerError {
    match error {
        TarError::Malformed(reason) => LayerError::Format(format!("it is not a valid tar archive: {reason}")),
        TarError::TooManyHeaders => LayerError::Bomb { limit: "the allowed number of entries".to_owned() },
        TarError::Read(error) => LayerError::Read(error),
    }
}

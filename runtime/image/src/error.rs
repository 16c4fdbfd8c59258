//! What can go wrong with images, in words for the person at the terminal.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// The result of an operation on images.
pub type Result<T> = std::result::Result<T, Error>;

/// Each message says what was tried, on what, and why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot read the archive: {0}")]
    Read(#[source] std::io::Error),
    #[error("cannot write the archive: {0}")]
    Write(#[source] std::io::Error),
    #[error("cannot write {path} to the archive: {source}")]
    SaveRead { path: String, source: std::io::Error },
    #[error("invalid reference format: {text:?}: {reason}")]
    InvalidReference { text: String, reason: &'static str },
    #[error("invalid digest {text:?}: sha256 or sha512 and lower case hexadecimal digits are needed")]
    InvalidDigest { text: String },
    #[error("invalid platform {text:?}: write OS/ARCHITECTURE[/VARIANT], such as linux/amd64")]
    InvalidPlatform { text: String },
    #[error("invalid change {text:?}: {reason}")]
    InvalidChange { text: String, reason: String },
    /// Docker's words, which scripts match.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// Docker's words.
    #[error("multiple IDs found with provided prefix: {0}")]
    AmbiguousId(String),
    /// What was given holds no image in any form that is known here.
    #[error("{path} is not an image: {reason}")]
    NotAnImage { path: String, reason: String },
    /// A JSON document does not say what it must.
    #[error("invalid {what}: {reason}")]
    Document { what: String, reason: String },
    #[error("{what} is missing: the archive is incomplete")]
    MissingBlob { what: String },
    #[error("{what} is corrupt: its content has digest {actual}, not {expected}")]
    DigestMismatch { what: String, expected: Digest, actual: Digest },
    #[error("{what} is corrupt: it has {actual} bytes, not {expected}")]
    SizeMismatch { what: String, expected: u64, actual: u64 },
    #[error("no image for platform {wanted} in the archive; it has {available}")]
    NoPlatform { wanted: String, available: String },
    /// Docker's words, but for the list.
    #[error("no matching manifest for {wanted} in the manifest list entries: there is {available}")]
    NoMatchingManifest { wanted: String, available: String },
    /// Docker's words.
    #[error(
        "image with reference {reference} was found but does not provide the specified platform ({wanted}): it is for {actual}"
    )]
    WrongPlatform { reference: String, wanted: String, actual: String },
    /// A layer that would have to be fetched from elsewhere.
    #[error(
        "layer {layer} is not distributable ({media_type}): it would have to come from {place}, and is refused; \
         use an image without such layers, or load an archive that contains it"
    )]
    ForeignLayer { layer: Digest, media_type: String, place: String },
    /// Something else failed, which is the error that gets reported.
    #[error("it was given up because something else failed")]
    Cancelled,
    /// The registry did not give or take something. The text is whole.
    #[error(transparent)]
    Remote(#[from] crate::RemoteError),
    #[error("cannot get {what} after {tries} tries: {source}")]
    Retries { what: String, tries: u32, source: crate::RemoteError },
    #[error("no space left on device while writing {what} below {}: free space, or move the store with --root", root.display())]
    NoSpace { what: String, root: PathBuf },
    /// Docker's words.
    #[error("An image does not exist locally with the tag: {0}")]
    NotTagged(String),
    /// Docker's words.
    #[error(
        "conflict: unable to remove repository reference {name:?} (must force) - container {container} is using its referenced image {image}"
    )]
    ReferenceInUse { name: String, container: String, image: String },
    /// Docker's words.
    #[error("conflict: unable to delete {image} ({}) - {reason}", if *hard { "cannot be forced" } else { "must be forced" })]
    ImageInUse { image: String, hard: bool, reason: String },
    /// An image that the policy does not let in.
    #[error("image {image} is refused by the policy: {reason}")]
    Policy { image: String, reason: String },
    /// A bound of [`crate::Limits`].
    #[error("{what} exceeds the limit of {limit}")]
    Limit { what: String, limit: String },
    #[error("cannot unpack layer {layer}: {source}")]
    Layer { layer: Digest, source: LayerError },
    #[error("image database: {0}")]
    Database(#[from] rusqlite::Error),
}

/// Why a layer was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The stream is not a tar, or not compressed in a known way.
    #[error("{0}")]
    Format(String),
    #[error("cannot read it: {0}")]
    Read(#[source] std::io::Error),
    /// An entry that no honest image has.
    #[error("entry {path:?} {reason}")]
    Refused { path: String, reason: String },
    /// An entry that the store's file system did not take.
    #[error("entry {path:?}: cannot {action}: {source}")]
    Entry { path: String, action: &'static str, source: std::io::Error },
    /// The store is where overlayfs' marks for removed files cannot be made.
    #[error(
        "cannot mark {path:?} as removed: {source}; put --root on ext4, xfs, btrfs or tmpfs, not on an overlay"
    )]
    Whiteout { path: String, source: std::io::Error },
    #[error("it has more than {limit}; the image is refused as a bomb")]
    Bomb { limit: String },
    #[error("its content has digest {actual}, but the image's config says {expected}")]
    DiffId { expected: Digest, actual: Digest },
    /// A layer below failed, which is the error that gets reported.
    #[error("a layer below it failed")]
    Cancelled,
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path, source: impl Into<std::io::Error>) -> Self {
        Self::File { action, path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn document(what: &str, reason: impl std::fmt::Display) -> Self {
        Self::Document { what: what.to_owned(), reason: reason.to_string() }
    }
}

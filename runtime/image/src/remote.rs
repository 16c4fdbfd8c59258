//! What the store asks of a registry: one repository to pull from ([`Origin`]) or to push to ([`Target`]).
//!
//! The store knows no protocol; `sandbox-registry` implements both traits, tests implement them in memory. Whatever comes
//! from the other side is hostile: the store verifies every digest and size itself and bounds every length.

use std::io::Read;

use crate::digest::Digest;

/// How a manifest is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestName<'a> {
    Tag(&'a str),
    Digest(&'a Digest),
}

impl std::fmt::Display for ManifestName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A manifest or an index as the registry sent it, byte for byte.
#[derive(Clone, Debug)]
pub struct RemoteDocument {
    pub bytes: Vec<u8>,
    /// What the registry says it is (`Content-Type`); empty if it says nothing.
    pub media_type: String,
}

/// The content of a blob from a position on.
pub struct RemoteBlob {
    /// Where `content` begins: what was asked for, or 0 if the registry cannot send parts.
    pub offset: u64,
    /// Ends early with an error, or without one, when the connection breaks.
    pub content: Box<dyn Read + Send>,
}

impl std::fmt::Debug for RemoteBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteBlob").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// Why a registry did not give or take something.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    pub kind: RemoteErrorKind,
    /// A whole sentence for the person at the terminal: what was asked of whom, and why it failed.
    pub message: String,
}

/// What a caller may do about a [`RemoteError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteErrorKind {
    /// There is no such repository, manifest or blob.
    NotFound,
    /// Credentials are missing or do not suffice.
    Denied,
    /// A broken connection, a time-out, 429 or 5xx: worth another try, after a pause.
    Transient,
    /// The registry answered something that is refused for good.
    Refused,
}

/// A repository to pull from. Several threads ask at once.
pub trait Origin: Sync {
    /// The manifest or index of that name, at most `limit` bytes of it.
    fn manifest(&self, name: ManifestName<'_>, limit: u64) -> Result<RemoteDocument, RemoteError>;

    /// The blob's content from `offset` on; `size` is the whole blob's.
    fn blob(&self, digest: &Digest, size: u64, offset: u64) -> Result<RemoteBlob, RemoteError>;
}

/// A repository to push to. Several threads ask at once.
pub trait Target: Sync {
    fn has_blob(&self, digest: &Digest) -> Result<bool, RemoteError>;

    /// Takes the blob over from another repository of the same registry (`library/alpine`); false if it is not there
    /// or may not be taken.
    fn mount_blob(&self, digest: &Digest, from: &str) -> Result<bool, RemoteError>;

    /// Uploads a blob; `content` can be asked for again from its beginning when an upload breaks.
    fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        content: &dyn Fn() -> std::io::Result<Box<dyn Read + Send>>,
    ) -> Result<(), RemoteError>;

    /// Stores a manifest, byte for byte.
    fn put_manifest(&self, name: ManifestName<'_>, media_type: &str, bytes: &[u8])
    -> Result<(), RemoteError>;
}

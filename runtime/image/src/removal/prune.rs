//! `image prune`: which images nobody would miss.

use super::Removed;

/// Which images to remove. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct PruneOptions {
    /// All images that no container uses, not only those without a tag.
    pub all: bool,
    /// Only those created before this time, in seconds since 1970.
    pub until: Option<i64>,
    pub labels: Vec<LabelFilter>,
}

/// `label=key`, `label=key=value`, `label!=key`, `label!=key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFilter {
    pub key: String,
    pub value: Option<String>,
    /// The label must not be so.
    pub negated: bool,
}

/// What a prune removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub removed: Vec<Removed>,
    /// Bytes of the removed blobs and of the files of the removed layers.
    pub reclaimed: u64,
}

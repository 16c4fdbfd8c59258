//! `image prune`: which images nobody would miss.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Removed;
use crate::digest::Digest;
use crate::{Result, database, document};

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

impl LabelFilter {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        let has = found.is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found));
        has != self.negated
    }
}

/// The ids of the images that `options` choose.
pub(super) fn candidates(conn: &Connection, options: &PruneOptions) -> Result<Vec<Digest>> {
    let mut chosen = Vec::new();
    let mut tagged = Vec::new();
    for record in database::records(conn)? {
        if !options.all && !database::names(conn, &record.manifest)?.is_empty() {
            tagged.push(record.id);
            continue;
        }
        let old = options.until.is_none_or(|until| record.created.is_some_and(|created| created <= until));
        let labels = document::labels(&record.config);
        if old && options.labels.iter().all(|filter| filter.holds(&labels)) && !chosen.contains(&record.id) {
            chosen.push(record.id);
        }
    }
    // An id may have another manifest that has a name.
    chosen.retain(|id| !tagged.contains(id));
    Ok(chosen)
}

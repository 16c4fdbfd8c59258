//! `history`: how an image came to be, as its config tells it.

use rusqlite::Connection;

use crate::Result;
use crate::digest::Digest;
use crate::store::{Image, Store};

/// One step, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image's id at its newest step; steps before have none (Docker's `<missing>`).
    pub id: Option<Digest>,
    /// Seconds since 1970, if the image says so.
    pub created: Option<i64>,
    pub created_by: String,
    /// Bytes of the files of the layer; 0 for a step that made none.
    pub size: u64,
    pub comment: String,
    /// The image's names, at its newest step.
    pub tags: Vec<String>,
}

impl Store {
    /// The steps of an image, the newest first. Layers of which the config says nothing come as steps without words.
    pub fn history(&self, conn: &Connection, image: &Image) -> Result<Vec<HistoryEntry>> {
        let _ = (conn, image);
        crate::error::in_the_making("history")
    }
}

//! `history`: how an image came to be, as its config tells it.

use rusqlite::Connection;

use crate::digest::Digest;
use crate::reference::Reference;
use crate::store::{Image, Store};
use crate::{Result, database, time};

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
        let mut sizes = database::layers(conn, &image.manifest)?.into_iter().map(|layer| layer.size);
        let mut steps = Vec::new();
        for step in image.config.history().iter().flatten() {
            let empty = step.empty_layer().unwrap_or(false);
            steps.push(HistoryEntry {
                id: None,
                created: step.created().as_deref().and_then(time::parse),
                created_by: step.created_by().clone().unwrap_or_default(),
                size: if empty { 0 } else { sizes.next().unwrap_or(0) },
                comment: step.comment().clone().unwrap_or_default(),
                tags: Vec::new(),
            });
        }
        steps.extend(sizes.map(|size| HistoryEntry {
            id: None,
            created: None,
            created_by: String::new(),
            size,
            comment: String::new(),
            tags: Vec::new(),
        }));
        steps.reverse();
        if let Some(newest) = steps.first_mut() {
            newest.id = Some(image.id.clone());
            newest.tags = image.names.iter().map(Reference::familiar).collect();
        }
        Ok(steps)
    }
}

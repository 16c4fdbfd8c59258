//! The table of images: what `images` shows.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::{column, size};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::{Result, document};

/// One line of the table of images: a name, or an image without names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    /// `None` for a dangling image. Without a tag (`alpine@sha256:…`) it is one that was pulled by digest.
    pub reference: Option<Reference>,
    pub id: Digest,
    pub manifest: Digest,
    /// What the registry calls the image in this repository, if it came from one or went to one.
    pub digest: Option<Digest>,
    /// Seconds since 1970, if the image says so.
    pub created: Option<i64>,
    /// Bytes of the files of all layers.
    pub size: u64,
    pub labels: BTreeMap<String, String>,
}

/// All names and all images without one, the newest image first.
pub(crate) fn list(conn: &Connection) -> Result<Vec<ListedImage>> {
    let mut digests = digests_by_manifest(conn)?;
    let mut statement = conn.prepare_cached(
        "SELECT images.manifest, images.id, images.created, images.size, image_names.reference, images.config
         FROM images LEFT JOIN image_names USING (manifest)
         ORDER BY images.created DESC, image_names.reference, images.manifest",
    )?;
    let mut rows = statement.query([])?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        let reference: Option<String> = row.get(4)?;
        let config: Vec<u8> = row.get(5)?;
        let image = ListedImage {
            manifest: column(row, 0)?,
            id: column(row, 1)?,
            created: row.get(2)?,
            size: size(row, 3)?,
            reference: reference.map(|_| column(row, 4)).transpose()?,
            digest: None,
            labels: document::labels(&config),
        };
        let known = digests.get_mut(&image.manifest);
        match (&image.reference, known) {
            (Some(name), Some(known)) => {
                let digest = known.iter().find(|known| known.repository() == name.repository());
                listed.push(ListedImage { digest: digest.and_then(|d| d.digest().cloned()), ..image });
            }
            (None, Some(known)) => {
                listed.extend(known.drain(..).map(|reference| ListedImage {
                    digest: reference.digest().cloned(),
                    reference: Some(reference),
                    ..image.clone()
                }));
            }
            (_, None) => listed.push(image),
        }
    }
    Ok(listed)
}

/// Per image the references by digest, sorted.
fn digests_by_manifest(conn: &Connection) -> Result<HashMap<Digest, Vec<Reference>>> {
    let mut statement = conn.prepare_cached(
        "SELECT manifest, repository || '@' || digest FROM image_digests ORDER BY repository, digest",
    )?;
    let mut rows = statement.query([])?;
    let mut found: HashMap<Digest, Vec<Reference>> = HashMap::new();
    while let Some(row) = rows.next()? {
        found.entry(column(row, 0)?).or_default().push(column(row, 1)?);
    }
    Ok(found)
}

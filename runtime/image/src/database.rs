//! Images in the engine's database: names, configs, and which layers and blobs belong to which image.
//!
//! All functions work on the caller's connection, so that they can be part of its transactions.

use oci_spec::image::ImageConfiguration;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::digest::Digest;
use crate::layer::LayerInfo;
use crate::reference::Reference;
use crate::{Error, Result, document, time};

/// The tables of images. Running it on a database that has them changes nothing.
///
/// An image is known by the digest of its manifest; its id is the digest of its config, as in Docker, and two manifests
/// (of differently compressed layers) may share one.
pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS images (
    manifest TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    config BLOB NOT NULL,
    created INTEGER,
    loaded INTEGER NOT NULL,
    size INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS images_by_id ON images (id);
CREATE TABLE IF NOT EXISTS image_names (
    reference TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    manifest TEXT NOT NULL REFERENCES images (manifest),
    updated INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS image_names_by_manifest ON image_names (manifest);
CREATE TABLE IF NOT EXISTS layers (
    chain_id TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    entries INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS image_layers (
    manifest TEXT NOT NULL REFERENCES images (manifest),
    position INTEGER NOT NULL,
    chain_id TEXT NOT NULL REFERENCES layers (chain_id),
    blob TEXT NOT NULL,
    blob_size INTEGER NOT NULL,
    PRIMARY KEY (manifest, position)
) STRICT;
CREATE INDEX IF NOT EXISTS image_layers_by_chain ON image_layers (chain_id);
";

/// An image as its row has it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) manifest: Digest,
    pub(crate) id: Digest,
    pub(crate) config: Vec<u8>,
    pub(crate) created: Option<i64>,
    pub(crate) size: u64,
}

/// A layer as an image uses it.
#[derive(Debug)]
pub(crate) struct LayerRecord<'a> {
    pub(crate) chain: &'a Digest,
    pub(crate) info: &'a LayerInfo,
    pub(crate) blob: &'a Digest,
    pub(crate) blob_size: u64,
}

/// One line of the table of images: a name, or an image without names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    /// `None` for a dangling image.
    pub reference: Option<Reference>,
    pub id: Digest,
    pub manifest: Digest,
    /// Seconds since 1970, if the image says so.
    pub created: Option<i64>,
    /// Bytes of the files of all layers.
    pub size: u64,
}

const COLUMNS: &str = "images.manifest, images.id, images.config, images.created, images.size";

impl Record {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            manifest: column(row, 0)?,
            id: column(row, 1)?,
            config: row.get(2)?,
            created: row.get(3)?,
            size: size(row, 4)?,
        })
    }

    pub(crate) fn parse_config(&self) -> Result<ImageConfiguration> {
        document::parse_config(&self.config, &format!("image config {}", self.id))
    }
}

/// SQLite has signed integers only.
fn stored(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn size(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    Ok(u64::try_from(value).unwrap_or(0))
}

/// A text column of a type that is checked when it is read.
fn column<T: std::str::FromStr<Err = Error>>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    let text: String = row.get(index)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// Inserts an image with its layers, or does nothing if it is there.
pub(crate) fn insert(conn: &Connection, image: &Record, layers: &[LayerRecord<'_>]) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO images (manifest, id, config, created, loaded, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        image.manifest.to_string(),
        image.id.to_string(),
        image.config,
        image.created,
        time::now(),
        stored(image.size)
    ])?;
    for (position, layer) in layers.iter().enumerate() {
        let chain = layer.chain.to_string();
        conn.prepare_cached(
            "INSERT INTO layers (chain_id, diff_id, size, entries) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![chain, layer.info.diff_id.to_string(), stored(layer.info.size), stored(layer.info.entries)])?;
        conn.prepare_cached(
            "INSERT INTO image_layers (manifest, position, chain_id, blob, blob_size) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            image.manifest.to_string(),
            position as i64,
            chain,
            layer.blob.to_string(),
            stored(layer.blob_size)
        ])?;
    }
    Ok(())
}

/// Points a name at an image and returns the one that it pointed at before, if another.
pub(crate) fn set_name(conn: &Connection, name: &Reference, manifest: &Digest) -> Result<Option<Digest>> {
    let before: Option<Digest> = conn
        .prepare_cached("SELECT manifest FROM image_names WHERE reference = ?1")?
        .query_row([name.to_string()], |row| column(row, 0))
        .optional()?;
    conn.prepare_cached(
        "INSERT INTO image_names (reference, repository, manifest, updated) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (reference) DO UPDATE SET manifest = ?3, updated = ?4",
    )?
    .execute(params![name.to_string(), name.repository(), manifest.to_string(), time::now()])?;
    Ok(before.filter(|before| before != manifest))
}

pub(crate) fn by_name(conn: &Connection, name: &Reference) -> Result<Option<Record>> {
    let sql = format!("SELECT {COLUMNS} FROM image_names JOIN images USING (manifest) WHERE reference = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([name.to_string()], Record::from_row).optional()?)
}

/// An image of a repository by its manifest's digest.
pub(crate) fn by_manifest(conn: &Connection, repository: &str, manifest: &Digest) -> Result<Option<Record>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM images WHERE manifest = ?1
         AND EXISTS (SELECT 1 FROM image_names WHERE image_names.manifest = ?1 AND repository = ?2)"
    );
    Ok(conn
        .prepare_cached(&sql)?
        .query_row(params![manifest.to_string(), repository], Record::from_row)
        .optional()?)
}

/// An image by its id, its manifest's digest, or the beginning of its id.
///
/// # Errors
/// [`Error::AmbiguousId`] if several ids begin so.
pub(crate) fn by_id(conn: &Connection, digest: &str) -> Result<Option<Record>> {
    // After 'f' comes 'g': all ids that begin with the digits are in between.
    let sql = format!(
        "SELECT {COLUMNS} FROM images WHERE (id >= ?1 AND id < ?1 || 'g') OR manifest = ?1 ORDER BY loaded DESC"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([digest])?;
    let Some(first) = rows.next()?.map(Record::from_row).transpose()? else { return Ok(None) };
    while let Some(row) = rows.next()? {
        let id: Digest = column(row, 1)?;
        if id != first.id {
            return Err(Error::AmbiguousId(digest.trim_start_matches("sha256:").to_owned()));
        }
    }
    Ok(Some(first))
}

/// The names of an image, sorted.
pub(crate) fn names(conn: &Connection, manifest: &Digest) -> Result<Vec<Reference>> {
    let mut statement =
        conn.prepare_cached("SELECT reference FROM image_names WHERE manifest = ?1 ORDER BY reference")?;
    let names = statement.query_map([manifest.to_string()], |row| column(row, 0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// The digests of an image's layers as they are stored, bottom first.
pub(crate) fn layer_blobs(conn: &Connection, manifest: &Digest) -> Result<Vec<Digest>> {
    let mut statement =
        conn.prepare_cached("SELECT blob FROM image_layers WHERE manifest = ?1 ORDER BY position")?;
    let blobs = statement.query_map([manifest.to_string()], |row| column(row, 0))?;
    Ok(blobs.collect::<rusqlite::Result<_>>()?)
}

/// All names and all images without one, the newest image first.
pub(crate) fn list(conn: &Connection) -> Result<Vec<ListedImage>> {
    let mut statement = conn.prepare_cached(
        "SELECT images.manifest, images.id, images.created, images.size, image_names.reference
         FROM images LEFT JOIN image_names USING (manifest)
         ORDER BY images.created DESC, image_names.reference, images.manifest",
    )?;
    let rows = statement.query_map([], |row| {
        let reference: Option<String> = row.get(4)?;
        Ok(ListedImage {
            manifest: column(row, 0)?,
            id: column(row, 1)?,
            created: row.get(2)?,
            size: size(row, 3)?,
            reference: reference.map(|_| column(row, 4)).transpose()?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Removes a name and returns the image that it pointed at.
pub(crate) fn remove_name(conn: &Connection, name: &Reference) -> Result<Option<Digest>> {
    Ok(conn
        .prepare_cached("DELETE FROM image_names WHERE reference = ?1 RETURNING manifest")?
        .query_row([name.to_string()], |row| column(row, 0))
        .optional()?)
}

/// Removes an image with its names, and the layers that no image uses any more from the table.
pub(crate) fn remove(conn: &Connection, manifest: &Digest) -> Result<bool> {
    let manifest = manifest.to_string();
    conn.execute("DELETE FROM image_names WHERE manifest = ?1", [&manifest])?;
    conn.execute("DELETE FROM image_layers WHERE manifest = ?1", [&manifest])?;
    let removed = conn.execute("DELETE FROM images WHERE manifest = ?1", [&manifest])?;
    conn.execute("DELETE FROM layers WHERE chain_id NOT IN (SELECT chain_id FROM image_layers)", [])?;
    Ok(removed > 0)
}

/// The hexadecimal parts of all digests that images need: blobs and, by chain id, layers.
pub(crate) fn used(conn: &Connection) -> Result<Used> {
    let column_of = |sql: &str| -> Result<std::collections::HashSet<Digest>> {
        let mut statement = conn.prepare(sql)?;
        let found = statement.query_map([], |row| column(row, 0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    };
    Ok(Used {
        blobs: column_of(
            "SELECT manifest FROM images UNION SELECT id FROM images UNION SELECT blob FROM image_layers",
        )?,
        layers: column_of("SELECT chain_id FROM image_layers")?,
    })
}

/// What images need of the store.
#[derive(Debug)]
pub(crate) struct Used {
    pub(crate) blobs: std::collections::HashSet<Digest>,
    pub(crate) layers: std::collections::HashSet<Digest>,
}

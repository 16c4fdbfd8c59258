//! Images in the engine's database: names, configs, and which layers and blobs belong to which image.
//!
//! All functions work on the caller's connection, so that they can be part of its transactions.

mod list;
mod names;
mod repositories;

use std::collections::HashSet;

use oci_spec::image::ImageConfiguration;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::digest::Digest;
use crate::layer::LayerInfo;
use crate::{Error, Result, document, time};

pub use self::list::ListedImage;
pub(crate) use self::list::list;
pub(crate) use self::names::{
    by_id, by_manifest, by_name, last_tagged, manifests_of, names, names_in, remove_name, set_name,
};
pub(crate) use self::repositories::{
    add_digest, add_source, digests, forget_sources, remove_digest, sources,
};

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

/// What [`SCHEMA`] lacks for registries and for the removal of images; the migration after it.
///
/// `image_digests` are names by digest, as a registry calls an image. `blob_sources` tell a push where it may mount a
/// blob from. `container_layers` are those that containers stand on whose image was removed by force.
pub const SCHEMA_REPOSITORIES: &str = "
CREATE TABLE IF NOT EXISTS image_digests (
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    manifest TEXT NOT NULL REFERENCES images (manifest),
    updated INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS image_digests_by_manifest ON image_digests (manifest);
CREATE TABLE IF NOT EXISTS blob_sources (
    blob TEXT NOT NULL,
    registry TEXT NOT NULL,
    repository TEXT NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (blob, registry, repository)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS container_layers (
    container TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    PRIMARY KEY (container, chain_id)
) STRICT, WITHOUT ROWID;
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

/// A layer of an image, with where its content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredLayer {
    pub(crate) chain: Digest,
    pub(crate) diff_id: Digest,
    /// Bytes of its files.
    pub(crate) size: u64,
    pub(crate) blob: Digest,
    pub(crate) blob_size: u64,
}

/// An image's layers, bottom first.
pub(crate) fn layers(conn: &Connection, manifest: &Digest) -> Result<Vec<StoredLayer>> {
    let mut statement = conn.prepare_cached(
        "SELECT chain_id, diff_id, size, blob, blob_size FROM image_layers JOIN layers USING (chain_id)
         WHERE manifest = ?1 ORDER BY position",
    )?;
    let layers = statement.query_map([manifest.to_string()], |row| {
        Ok(StoredLayer {
            chain: column(row, 0)?,
            diff_id: column(row, 1)?,
            size: size(row, 2)?,
            blob: column(row, 3)?,
            blob_size: size(row, 4)?,
        })
    })?;
    Ok(layers.collect::<rusqlite::Result<_>>()?)
}

/// The digests of an image's layers as they are stored, bottom first.
pub(crate) fn layer_blobs(conn: &Connection, manifest: &Digest) -> Result<Vec<Digest>> {
    Ok(layers(conn, manifest)?.into_iter().map(|layer| layer.blob).collect())
}

/// All images.
pub(crate) fn records(conn: &Connection) -> Result<Vec<Record>> {
    let sql = format!("SELECT {COLUMNS} FROM images ORDER BY created DESC, manifest");
    let mut statement = conn.prepare_cached(&sql)?;
    let records = statement.query_map([], Record::from_row)?;
    Ok(records.collect::<rusqlite::Result<_>>()?)
}

/// An image by its manifest's digest.
pub(crate) fn get(conn: &Connection, manifest: &Digest) -> Result<Option<Record>> {
    let sql = format!("SELECT {COLUMNS} FROM images WHERE manifest = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([manifest.to_string()], Record::from_row).optional()?)
}

pub(crate) fn exists(conn: &Connection, manifest: &Digest) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM images WHERE manifest = ?1")?.exists([manifest.to_string()])?)
}

/// Replaces the copy of an image's config.
pub(crate) fn set_config(conn: &Connection, manifest: &Digest, config: &[u8]) -> Result<()> {
    conn.execute("UPDATE images SET config = ?2 WHERE manifest = ?1", params![manifest.to_string(), config])?;
    Ok(())
}

/// Removes an image with its names, and the layers that no image uses any more from the table.
pub(crate) fn remove(conn: &Connection, manifest: &Digest) -> Result<bool> {
    let manifest = manifest.to_string();
    conn.execute("DELETE FROM image_names WHERE manifest = ?1", [&manifest])?;
    conn.execute("DELETE FROM image_digests WHERE manifest = ?1", [&manifest])?;
    conn.execute("DELETE FROM image_layers WHERE manifest = ?1", [&manifest])?;
    let removed = conn.execute("DELETE FROM images WHERE manifest = ?1", [&manifest])?;
    conn.execute("DELETE FROM layers WHERE chain_id NOT IN (SELECT chain_id FROM image_layers)", [])?;
    Ok(removed > 0)
}

/// The digests that images need: of blobs and, by chain id, of layers; the latter also for containers that outlived
/// their image.
pub(crate) fn used(conn: &Connection) -> Result<Used> {
    let column_of = |sql: &str| -> Result<HashSet<Digest>> {
        let mut statement = conn.prepare(sql)?;
        let found = statement.query_map([], |row| column(row, 0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    };
    Ok(Used {
        blobs: column_of(
            "SELECT manifest FROM images UNION SELECT id FROM images UNION SELECT blob FROM image_layers",
        )?,
        layers: column_of("SELECT chain_id FROM image_layers UNION SELECT chain_id FROM container_layers")?,
    })
}

/// What must stay in the store.
#[derive(Debug)]
pub(crate) struct Used {
    pub(crate) blobs: HashSet<Digest>,
    pub(crate) layers: HashSet<Digest>,
}

/// Keeps layers for a container whose image goes.
pub(crate) fn keep_layers(conn: &Connection, container: &str, chains: &[Digest]) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO container_layers (container, chain_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?;
    for chain in chains {
        statement.execute(params![container, chain.to_string()])?;
    }
    Ok(())
}

/// Ends the keeping of layers for containers that are not in `alive`.
pub(crate) fn forget_containers(conn: &Connection, alive: &HashSet<&str>) -> Result<()> {
    let mut statement = conn.prepare_cached("SELECT DISTINCT container FROM container_layers")?;
    let kept: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for container in kept.iter().filter(|container| !alive.contains(container.as_str())) {
        conn.execute("DELETE FROM container_layers WHERE container = ?1", [container])?;
    }
    Ok(())
}

//! What registries know of the images here: the digests they call them by, and which repository has which blob.

use rusqlite::{Connection, OptionalExtension, params};

use super::column;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::{Result, time};

/// Repositories that are remembered per blob.
const SOURCES: i64 = 16;

/// Notes that a registry calls the image `digest` in `repository`; returns the image that it meant before, if another.
pub(crate) fn add_digest(
    conn: &Connection,
    repository: &str,
    digest: &Digest,
    manifest: &Digest,
) -> Result<Option<Digest>> {
    let before: Option<Digest> = conn
        .prepare_cached("SELECT manifest FROM image_digests WHERE repository = ?1 AND digest = ?2")?
        .query_row(params![repository, digest.to_string()], |row| column(row, 0))
        .optional()?;
    conn.prepare_cached(
        "INSERT INTO image_digests (repository, digest, manifest, updated) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (repository, digest) DO UPDATE SET manifest = ?3, updated = ?4",
    )?
    .execute(params![repository, digest.to_string(), manifest.to_string(), time::now()])?;
    Ok(before.filter(|before| before != manifest))
}

/// An image's names by digest (`docker.io/library/alpine@sha256:…`), sorted.
pub(crate) fn digests(conn: &Connection, manifest: &Digest) -> Result<Vec<Reference>> {
    let mut statement = conn.prepare_cached(
        "SELECT repository || '@' || digest FROM image_digests WHERE manifest = ?1 ORDER BY repository, digest",
    )?;
    let found = statement.query_map([manifest.to_string()], |row| column(row, 0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Forgets what a registry calls an image; false if nobody knew.
pub(crate) fn remove_digest(conn: &Connection, repository: &str, digest: &Digest) -> Result<bool> {
    let removed = conn
        .prepare_cached("DELETE FROM image_digests WHERE repository = ?1 AND digest = ?2")?
        .execute(params![repository, digest.to_string()])?;
    Ok(removed > 0)
}

/// Remembers that a repository has a blob.
pub(crate) fn add_source(conn: &Connection, blob: &Digest, registry: &str, repository: &str) -> Result<()> {
    let blob = blob.to_string();
    conn.prepare_cached(
        "INSERT INTO blob_sources (blob, registry, repository, updated) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (blob, registry, repository) DO UPDATE SET updated = ?4",
    )?
    .execute(params![blob, registry, repository, time::now()])?;
    conn.prepare_cached(
        "DELETE FROM blob_sources WHERE blob = ?1 AND (registry, repository) NOT IN (
             SELECT registry, repository FROM blob_sources WHERE blob = ?1
             ORDER BY updated DESC, repository LIMIT ?2)",
    )?
    .execute(params![blob, SOURCES])?;
    Ok(())
}

/// Repositories of `registry` that have a blob, the latest first.
pub(crate) fn sources(conn: &Connection, blob: &Digest, registry: &str) -> Result<Vec<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT repository FROM blob_sources WHERE blob = ?1 AND registry = ?2
         ORDER BY updated DESC, repository",
    )?;
    let found = statement.query_map(params![blob.to_string(), registry], |row| row.get(0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Forgets where the blobs came from that no image has any more.
pub(crate) fn forget_sources(conn: &Connection) -> Result<()> {
    conn.execute(
        "DELETE FROM blob_sources WHERE blob NOT IN (
             SELECT blob FROM image_layers UNION SELECT id FROM images)",
        [],
    )?;
    Ok(())
}

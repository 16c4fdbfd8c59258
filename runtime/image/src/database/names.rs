//! Names of images, and the ways to find one.

use rusqlite::{Connection, OptionalExtension, params};

use super::{COLUMNS, Record, column};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::{Error, Result, time};

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

/// An image of a repository by its manifest's digest, or by what the registry calls it (an index's digest).
pub(crate) fn by_manifest(conn: &Connection, repository: &str, manifest: &Digest) -> Result<Option<Record>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM images WHERE manifest = (
             SELECT manifest FROM image_digests WHERE digest = ?1 AND repository = ?2
             UNION ALL
             SELECT manifest FROM image_names WHERE manifest = ?1 AND repository = ?2
             LIMIT 1)"
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

/// All names with a tag in a repository, sorted.
pub(crate) fn names_in(conn: &Connection, repository: &str) -> Result<Vec<Reference>> {
    let mut statement =
        conn.prepare_cached("SELECT reference FROM image_names WHERE repository = ?1 ORDER BY reference")?;
    let names = statement.query_map([repository], |row| column(row, 0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// All images of that id: manifests of differently compressed layers may share one config.
pub(crate) fn manifests_of(conn: &Connection, id: &Digest) -> Result<Vec<Digest>> {
    let mut statement =
        conn.prepare_cached("SELECT manifest FROM images WHERE id = ?1 ORDER BY loaded DESC, manifest")?;
    let manifests = statement.query_map([id.to_string()], |row| column(row, 0))?;
    Ok(manifests.collect::<rusqlite::Result<_>>()?)
}

/// When the image was given a name for the last time, in seconds since 1970.
pub(crate) fn last_tagged(conn: &Connection, manifest: &Digest) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT max(updated) FROM image_names WHERE manifest = ?1")?;
    Ok(statement.query_row([manifest.to_string()], |row| row.get(0))?)
}

/// Removes a name and returns the image that it pointed at.
pub(crate) fn remove_name(conn: &Connection, name: &Reference) -> Result<Option<Digest>> {
    Ok(conn
        .prepare_cached("DELETE FROM image_names WHERE reference = ?1 RETURNING manifest")?
        .query_row([name.to_string()], |row| column(row, 0))
        .optional()?)
}

//! The volumes' rows, and which container uses which.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::error::Result;

/// Writes down a volume before its directory is made; one that is there stays as it is.
pub fn ensure(connection: &Connection, name: &str, anonymous: bool, now_ns: i64) -> Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO volumes (name, created_ns, anonymous) VALUES (?1, ?2, ?3)")?
        .execute(params![name, now_ns, anonymous])?;
    Ok(())
}

/// Notes that the container uses the volume.
pub fn attach(connection: &Connection, name: &str, container: &str) -> Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO volume_users (volume, container) VALUES (?1, ?2)")?
        .execute([name, container])?;
    Ok(())
}

/// The anonymous volumes that only this container uses: they end with it under `--rm`.
pub fn anonymous_of(connection: &Connection, container: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM volumes JOIN volume_users ON volume = name AND container = ?1 WHERE anonymous \
         AND NOT EXISTS (SELECT 1 FROM volume_users other WHERE other.volume = name AND other.container <> ?1)",
    )?;
    let rows = statement.query_map([container], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The anonymous volumes that no container uses.
pub fn unused_anonymous(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM volumes WHERE anonymous \
         AND NOT EXISTS (SELECT 1 FROM volume_users WHERE volume = name) ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All volumes by name, with the containers that use them.
pub fn usage(connection: &Connection) -> Result<BTreeMap<String, Vec<String>>> {
    let mut statement = connection.prepare(
        "SELECT name, container FROM volumes LEFT JOIN volume_users ON volume = name ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut usage: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let (name, container): (String, Option<String>) = row?;
        usage.entry(name).or_default().extend(container);
    }
    Ok(usage)
}

/// The anonymous volumes of a container outlive it.
pub fn keep(connection: &Connection, container: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM volume_users WHERE container = ?1")?.execute([container])?;
    Ok(())
}

/// Deletes a volume's row, after its directory is gone. Users that are still noted go with it.
pub fn delete(connection: &Connection, name: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM volume_users WHERE volume = ?1")?.execute([name])?;
    connection.prepare_cached("DELETE FROM volumes WHERE name = ?1")?.execute([name])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::containers;

    #[test]
    fn anonymous_volumes_end_with_their_only_user() {
        let dir = tempfile::tempdir().unwrap();
        let db = crate::state::open(&dir.path().join("state.db")).unwrap();
        containers::insert(&db, &containers::tests::sample("one", "one")).unwrap();
        containers::insert(&db, &containers::tests::sample("two", "two")).unwrap();
        for (name, anonymous) in [("mine", true), ("shared", true), ("named", false)] {
            ensure(&db, name, anonymous, 1).unwrap();
            ensure(&db, name, !anonymous, 2).unwrap();
            attach(&db, name, "one").unwrap();
        }
        attach(&db, "shared", "two").unwrap();
        assert_eq!(anonymous_of(&db, "one").unwrap(), vec!["mine"]);
        assert_eq!(usage(&db).unwrap()["shared"], ["one", "two"]);
        containers::delete(&db, "two").unwrap();
        assert_eq!(anonymous_of(&db, "one").unwrap(), vec!["mine", "shared"]);
        delete(&db, "mine").unwrap();
        assert_eq!(anonymous_of(&db, "one").unwrap(), vec!["shared"]);
    }
}

//! `state.db`: what containers and volumes there are, shared by any number of commands at once.
//!
//! Write-ahead log and `synchronous=NORMAL`: a crash of ours loses nothing, a crash of the host may lose the
//! last commits. The log is not checkpointed when a command ends, because that syncs the disk on the
//! start path. But the first command that opens the database reads the whole log, so it is kept short.

pub mod containers;
mod schema;
pub mod volumes;

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::Result;

/// How long a command waits for the others' writes.
const BUSY: Duration = Duration::from_secs(30);

/// The log is written back when it has so many pages: some fifty runs, a millisecond to read.
const LOG_PAGES: u32 = 250;

/// Opens the database, and makes or migrates it where that is needed.
pub fn open(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Normal is 1. None of them is stored in the file, all are per connection.
    let pragmas =
        format!("PRAGMA synchronous=1; PRAGMA foreign_keys=1; PRAGMA wal_autocheckpoint={LOG_PAGES};");
    connection.execute_batch(&pragmas)?;
    if schema::version(&connection)? != schema::CURRENT {
        schema::migrate(&mut connection, path)?;
    }
    Ok(connection)
}

/// Runs `work` in one transaction that takes the write lock at its start, so that it cannot fail half way for being busy.
pub(crate) fn write<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_twice_and_keeps_wal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let first = open(&path).unwrap();
        let second = open(&path).unwrap();
        let mode: String = second.query_row("PRAGMA journal_mode", [], |r| r.get(0)).unwrap();
        assert_eq!(mode, "wal");
        let synchronous: i64 = first.query_row("PRAGMA synchronous", [], |r| r.get(0)).unwrap();
        assert_eq!(synchronous, 1);
    }

    #[test]
    fn refuses_a_newer_schema() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        open(&path).unwrap().execute_batch("PRAGMA user_version=9999").unwrap();
        let text = open(&path).unwrap_err().to_string();
        assert!(text.contains("schema version 9999"), "{text}");
    }

    #[test]
    fn many_open_a_new_database_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || open(&path).map(|_| ()))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    }
}

//! The tables, as a list of migrations: `PRAGMA user_version` counts those that were applied.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};

/// Version of the newest schema.
pub(super) const CURRENT: i64 = MIGRATIONS.len() as i64;

/// Migration n takes a database from version n to n + 1. Never edit one that was released.
const MIGRATIONS: &[&str] = &[
    // `state` is one of created, running, exited, removing. All but `created` and `exited` need a live owner of
    // the container's lock. `run_dir` and `cgroup` are written down because they may differ from run to run.
    // Rows are small and few indexes are kept, because every page of a commit is written to the log and read
    // again by the next command; the request is in the container's directory.
    "CREATE TABLE containers (
        id TEXT PRIMARY KEY NOT NULL,
        name TEXT UNIQUE NOT NULL,
        image_id TEXT NOT NULL,
        image_name TEXT NOT NULL,
        isolation TEXT NOT NULL,
        state TEXT NOT NULL,
        auto_remove INTEGER NOT NULL,
        created_ns INTEGER NOT NULL,
        started_ns INTEGER,
        finished_ns INTEGER,
        exit_code INTEGER,
        oom_killed INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        run_dir TEXT NOT NULL,
        cgroup TEXT
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE volumes (
        name TEXT PRIMARY KEY NOT NULL,
        created_ns INTEGER NOT NULL,
        anonymous INTEGER NOT NULL,
        labels TEXT NOT NULL DEFAULT '{}'
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE volume_users (
        volume TEXT NOT NULL REFERENCES volumes (name),
        container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
        PRIMARY KEY (volume, container)
     ) STRICT, WITHOUT ROWID;",
    sandbox_image::SCHEMA,
    sandbox_image::SCHEMA_REPOSITORIES,
    // Whether somebody stopped it: a boot leaves such a container alone if its restart policy says so.
    "ALTER TABLE containers ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0;",
];

pub(super) fn version(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Applies what is missing, in one transaction; another command that does the same at the same time waits.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    // The journal mode is a property of the file and cannot change inside a transaction.
    connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let done = usize::try_from(found).ok().filter(|n| *n <= MIGRATIONS.len());
    let Some(done) = done else {
        return Err(Error::NewerState { path: path.to_owned(), found, known: CURRENT });
    };
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", CURRENT)?;
    transaction.commit()?;
    Ok(())
}

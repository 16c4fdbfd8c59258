//! Rows that lead nowhere.

use rusqlite::Connection;

use super::{Finding, Problem};
use crate::Result;

/// Per table what is shown of a row, and which rows lead nowhere. Rows of other tables are found after what they lead to.
const DANGLING: [(&str, &str, &str); 5] = [
    ("image_names", "reference", "manifest NOT IN (SELECT manifest FROM images)"),
    ("image_digests", "repository || '@' || digest", "manifest NOT IN (SELECT manifest FROM images)"),
    (
        "image_layers",
        "manifest || ' ' || position",
        "manifest NOT IN (SELECT manifest FROM images) OR chain_id NOT IN (SELECT chain_id FROM layers)",
    ),
    ("layers", "chain_id", "chain_id NOT IN (SELECT chain_id FROM image_layers)"),
    (
        "blob_sources",
        "blob || ' ' || registry || '/' || repository",
        "blob NOT IN (SELECT blob FROM image_layers UNION SELECT id FROM images)",
    ),
];

/// Finds them, and with `repair` removes them.
pub(super) fn check(conn: &Connection, repair: bool, findings: &mut Vec<Finding>) -> Result<()> {
    for (table, shown, condition) in DANGLING {
        let mut statement = conn.prepare(&format!("SELECT {shown} FROM {table} WHERE {condition}"))?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let rows: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
        // Where blobs came from is forgotten now and then; such rows are no problem, only of no use.
        let quiet = table == "blob_sources";
        if repair && !rows.is_empty() {
            conn.execute(&format!("DELETE FROM {table} WHERE {condition}"), [])?;
        }
        if !quiet {
            let finding = |row| Finding { problem: Problem::DanglingRow { table, row }, repaired: repair };
            findings.extend(rows.into_iter().map(finding));
        }
    }
    Ok(())
}

//! `system check --images`: whether the store is what the database says.

mod content;
mod files;
mod problem;
mod rows;

use rusqlite::Connection;

pub use self::problem::{Finding, Problem};
use crate::Result;
use crate::store::Store;

impl Store {
    /// Reads all blobs and compares the store with the database. With `repair`, what can be put right is: corrupt
    /// and unused content goes, layers are unpacked again from their blobs, rows that lead nowhere are removed.
    ///
    /// Pulls, loads and containers may go on meanwhile; what is on its way is not a finding.
    pub fn check(&self, conn: &Connection, repair: bool) -> Result<Vec<Finding>> {
        self.make_directories()?;
        let mut findings = Vec::new();
        rows::check(conn, repair, &mut findings)?;
        content::check(self, conn, repair, &mut findings)?;
        files::check(self, conn, repair, &mut findings)?;
        Ok(findings)
    }
}

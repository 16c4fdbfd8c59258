//! The whole command with `--isolation=process` on this machine: what only processes, signals and
//! kills can show. The same in both isolations, and everything else, is tested in /tests.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod files;
mod kills;
mod place;
mod streams;

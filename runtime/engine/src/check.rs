//! `system check`: whether what lies on the disk is what the database says.
//!
//! Reclaim finds whatever has a row; this finds what has none: it should not exist, for rows come first and go last, but a
//! database that was restored or a disk that lost writes makes it. With images their own check comes besides.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::remove;
use crate::state::containers;

/// Digits of a container's id.
const ID_LENGTH: usize = 64;
/// Findings about the database that are told; the first says as much as a thousand.
const DATABASE_FINDINGS: usize = 10;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub problem: Problem,
    /// It was put right.
    pub repaired: bool,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    Image(sandbox_image::Problem),
    /// A directory of a container that is not there.
    Leftover(PathBuf),
    /// A container without its directory.
    Lost {
        id: String,
        name: String,
    },
    /// What a killed container left and the next command could not take down.
    Unreclaimed(String),
    Database(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Image(problem) => problem.fmt(f),
            Problem::Leftover(path) => write!(
                f,
                "{} belongs to no container; remove it with `sandbox system check --repair`",
                path.display()
            ),
            Problem::Lost { id, name } => {
                write!(
                    f,
                    "the directory of container {name} ({}) is missing: its files are lost",
                    &id[..12.min(id.len())]
                )
            }
            Problem::Unreclaimed(why) => write!(f, "a container that was killed is not cleaned up: {why}"),
            Problem::Database(why) => {
                write!(f, "the state database is damaged: {why}; restore it, or use another --root")
            }
        }
    }
}

impl Engine {
    /// Looks at everything; with `images` also at every byte of their content. `repair` removes what is left over, and
    /// has images put right what they can.
    pub fn check(&self, images: bool, repair: bool) -> Result<Vec<Finding>> {
        let mut findings: Vec<Finding> = Vec::new();
        let mut found = |problem, repaired| findings.push(Finding { problem, repaired });
        for why in self.database_problems()? {
            found(Problem::Database(why), false);
        }
        for problem in self.problems() {
            found(Problem::Unreclaimed(problem.to_string()), false);
        }
        // Directories first: one that is made meanwhile has its row already.
        let directories = directories(&self.paths)?;
        let containers = containers::list(&self.connection)?;
        let known: HashSet<&str> = containers.iter().map(|container| container.id.as_str()).collect();
        for (id, path) in directories {
            if !known.contains(id.as_str()) {
                if repair {
                    remove::tree(&path)?;
                }
                found(Problem::Leftover(path), repair);
            }
        }
        for container in &containers {
            if container.state == containers::State::Exited && !self.paths.container(&container.id).is_dir() {
                found(Problem::Lost { id: container.id.clone(), name: container.name.clone() }, false);
            }
        }
        if images {
            // As with containers: what the killed left goes with the next command, and this is one.
            self.store()?.sweep()?;
            for finding in self.store()?.check(&self.connection, repair)? {
                found(Problem::Image(finding.problem), finding.repaired);
            }
        }
        Ok(findings)
    }

    fn database_problems(&self) -> Result<Vec<String>> {
        let mut statement =
            self.connection.prepare(&format!("PRAGMA integrity_check({DATABASE_FINDINGS})"))?;
        let rows: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(rows.into_iter().filter(|row| row != "ok").collect())
    }
}

/// The directories that containers have, by container.
fn directories(paths: &Paths) -> Result<Vec<(String, PathBuf)>> {
    let mut found = named_by_id(&paths.root.join("containers"))?;
    for (id, path) in named_by_id(&paths.run_root)? {
        // Several roots may share a run directory; the plan tells whose container it is.
        if owner(&path).is_some_and(|owner| owner.container_dir == paths.container(&id)) {
            found.push((id, path));
        }
    }
    Ok(found)
}

fn named_by_id(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let entry = entry.map_err(Error::io("read", directory))?;
        let name = entry.file_name();
        let id = name.to_str().filter(|name| {
            name.len() == ID_LENGTH && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        found.extend(id.map(|id| (id.to_owned(), entry.path())));
    }
    found.sort();
    Ok(found)
}

/// As much of a plan as is asked here: reading all of it takes a parser of regular expressions along.
#[derive(Deserialize)]
struct Owner {
    container_dir: PathBuf,
}

fn owner(run_dir: &Path) -> Option<Owner> {
    serde_json::from_slice(&std::fs::read(run_dir.join("plan.json")).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installation::Installation;
    use crate::state::containers::tests::sample;

    fn engine(dir: &Path) -> Engine {
        let paths = Paths::new(&dir.join("root"), &dir.join("run")).unwrap();
        Engine::open(paths, Installation::at(vec![])).unwrap()
    }

    /// A run directory as the container of that root leaves it.
    fn run_dir(engine: &Engine, id: &str, root: &Path) -> PathBuf {
        let path = engine.paths.run(id);
        std::fs::create_dir(&path).unwrap();
        let plan = serde_json::json!({ "container_dir": root.join("containers").join(id), "id": id });
        std::fs::write(path.join("plan.json"), plan.to_string()).unwrap();
        path
    }

    #[test]
    fn what_has_no_row_is_found_and_what_is_others_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        assert_eq!(engine.check(true, false).unwrap(), []);
        let (mine, others) = ("a".repeat(64), "b".repeat(64));
        let left = run_dir(&engine, &mine, &engine.paths.root);
        let foreign = run_dir(&engine, &others, Path::new("/somewhere/else"));
        std::fs::create_dir(engine.paths.root.join("containers/not-an-id")).unwrap();
        let found = |repaired| [Finding { problem: Problem::Leftover(left.clone()), repaired }];
        assert_eq!(engine.check(false, false).unwrap(), found(false));
        assert_eq!(engine.check(false, true).unwrap(), found(true));
        assert_eq!(engine.check(false, false).unwrap(), []);
        assert!(foreign.exists() && !left.exists());
    }

    #[test]
    fn a_container_without_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        let exited = crate::state::containers::Container {
            state: containers::State::Exited,
            ..sample(&"c".repeat(64), "lost")
        };
        containers::insert(&engine.connection, &exited).unwrap();
        let found = engine.check(false, true).unwrap();
        assert_eq!(found.len(), 1);
        assert!(!found[0].repaired);
        assert_eq!(
            found[0].problem.to_string(),
            "the directory of container lost (cccccccccccc) is missing: its files are lost"
        );
    }
}

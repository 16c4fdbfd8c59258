//! Reclaim: what a container leaves is released by its owner at the end, or by the next command when
//! the owner was killed. Both run the same steps; each is idempotent, and the row goes last, so that whatever
//! interrupts them, the next one starts over.

use std::path::Path;

use rusqlite::Connection;
use sandbox_shim::status::{self, Status};
use sandbox_shim::wire::Exit;

use crate::announce;
use crate::cgroup;
use crate::clock::realtime_ns;
use crate::error::{Error, Result};
use crate::lock::{self, Lock, Owner};
use crate::paths::Paths;
use crate::recipe;
use crate::remove;
use crate::state::containers::{self, Container, End, State};
use crate::volumes;

/// Why there is no last word.
const KILLED: &str = "the supervisor of the container was killed";

/// Reclaims every container whose owner is gone; gives the problems it met, which stop no command.
pub(crate) fn reap(connection: &Connection, paths: &Paths) -> Result<Vec<Error>> {
    let mut problems = Vec::new();
    for container in containers::not_final(connection)? {
        if let Err(problem) = reap_one(connection, paths, &container) {
            problems.push(problem);
        }
    }
    Ok(problems)
}

fn reap_one(connection: &Connection, paths: &Paths, container: &Container) -> Result<()> {
    let dir = paths.container(&container.id);
    let (_held, _guard): (Option<Lock>, Option<Lock>) = match lock::probe(&dir)? {
        Owner::Alive => return Ok(()),
        Owner::Gone(lock) => (Some(lock), None),
        Owner::NoLock => {
            // Somebody between its row and its lock, or somebody who died there.
            let Some(guard) = lock::nobody_creates(&paths.creation_lock())? else { return Ok(()) };
            match lock::probe(&dir)? {
                Owner::Alive => return Ok(()),
                Owner::Gone(lock) => (Some(lock), Some(guard)),
                Owner::NoLock => (None, Some(guard)),
            }
        }
    };
    // Its owner may have finished between our query and our lock.
    let Some(container) = containers::get(connection, &container.id)? else { return Ok(()) };
    if matches!(container.state, State::Created | State::Exited) {
        return Ok(());
    }
    release(connection, paths, &container, None)
}

/// Takes down everything of a container that has ended. `end` is how; without it the supervisor's
/// last word tells, and without that it was killed. The caller holds the container's lock.
pub(crate) fn release(
    connection: &Connection,
    paths: &Paths,
    container: &Container,
    end: Option<End>,
) -> Result<()> {
    let dir = paths.container(&container.id);
    // Before the run directory goes, which tells more than nothing of one that was killed.
    let word = status::read(&dir).map_err(Error::io("read the last word in", &dir))?;
    let end = match end {
        Some(end) => end,
        None => last_word(word.as_ref(), Path::new(&container.run_dir), None, KILLED),
    };
    if let Some(cgroup) = &container.cgroup {
        cgroup::reclaim(Path::new(cgroup))?;
    }
    remove::tree(Path::new(&container.run_dir))?;
    let kept = word.is_some_and(|word| word.keep);
    // One that was killed while it was made never was whole.
    if container.auto_remove && !kept
        || container.state == State::Removing
        || !dir.join(recipe::FILE).exists()
    {
        return remove_for_good(connection, paths, container);
    }
    containers::exited(connection, &container.id, &end)
}

/// Removes a container whose processes are gone, its anonymous volumes, and at last its row.
pub(crate) fn remove_for_good(connection: &Connection, paths: &Paths, container: &Container) -> Result<()> {
    let id = container.id.as_str();
    // What tells its labels goes first.
    let labels = announce::labels(paths, id);
    volumes::remove_anonymous(connection, id, paths)?;
    remove::tree(&paths.container(id))?;
    // Without its lock, which is in the directory, others may be here, too. One of them removes the row.
    if containers::delete(connection, id)? {
        announce::labelled(paths, container, &labels, "destroy", &[]);
    }
    Ok(())
}

/// How a container ended: as its command was `told`, else as the supervisor's last `word` has it, else, when it left none,
/// `silent`.
pub(crate) fn last_word(word: Option<&Status>, run_dir: &Path, told: Option<&Exit>, silent: &str) -> End {
    let killed = || Exit { code: 137, oom_killed: false, error: Some(silent.to_owned()) };
    // Not worth more than what it might tell.
    let live = || status::read(run_dir).ok().flatten().unwrap_or_default();
    let known = word.cloned().unwrap_or_else(live);
    let exit = told.cloned().or_else(|| word.and_then(|word| word.exit.clone())).unwrap_or_else(killed);
    End {
        exit_code: exit.code,
        oom_killed: exit.oom_killed,
        error: exit.error,
        started_ns: known.started_ns,
        finished_ns: word.and_then(|word| word.finished_ns).unwrap_or_else(realtime_ns),
        stopped: known.stopped,
        never_ran: word.is_some_and(|word| word.started_ns.is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::containers::tests::sample;

    struct Place {
        _dir: tempfile::TempDir,
        paths: Paths,
        db: Connection,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("root"), &dir.path().join("run")).unwrap();
        paths.prepare().unwrap();
        let db = crate::state::open(&paths.database()).unwrap();
        Place { _dir: dir, paths, db }
    }

    impl Place {
        /// A container as far as its creator came: the row, then perhaps the directory, then perhaps the lock.
        fn container(&self, id: &str, auto_remove: bool, dir: bool, lock: bool) -> (Container, Option<Lock>) {
            let run_dir = self.paths.run(id);
            let container = Container {
                auto_remove,
                run_dir: run_dir.to_str().unwrap().to_owned(),
                ..sample(id, &format!("name-{id}"))
            };
            containers::insert(&self.db, &container).unwrap();
            if dir {
                std::fs::create_dir_all(self.paths.container(id).join("upper/deep")).unwrap();
                recipe::Recipe::default().write(&self.paths.container(id)).unwrap();
                std::fs::create_dir_all(run_dir.join("vsock")).unwrap();
            }
            let lock = lock.then(|| lock::create(&self.paths.container(id)).unwrap());
            (container, lock)
        }
    }

    #[test]
    fn the_living_are_left_alone() {
        let place = place();
        let (container, lock) = place.container("a", true, true, true);
        assert!(reap(&place.db, &place.paths).unwrap().is_empty());
        assert!(place.paths.container("a").exists());
        assert_eq!(containers::get(&place.db, &container.id).unwrap().unwrap().state, State::Running);
        drop(lock);
        assert!(reap(&place.db, &place.paths).unwrap().is_empty());
        assert!(!place.paths.container("a").exists() && !place.paths.run("a").exists());
        assert!(containers::get(&place.db, "a").unwrap().is_none());
    }

    #[test]
    fn killed_anywhere_on_the_way_to_the_lock() {
        let place = place();
        place.container("row", true, false, false);
        place.container("dir", true, true, false);
        std::fs::write(place.paths.container("dir").join("lock.new"), "").unwrap();
        assert!(reap(&place.db, &place.paths).unwrap().is_empty());
        assert!(containers::list(&place.db).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(place.paths.root.join("containers")).unwrap().count(), 0);
        // The journal of events stays.
        let dirs = std::fs::read_dir(&place.paths.run_root)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_dir());
        assert_eq!(dirs.count(), 0);
    }

    #[test]
    fn one_that_is_being_created_is_left_alone() {
        let place = place();
        place.container("young", true, true, false);
        let creating = lock::creating(&place.paths.creation_lock()).unwrap();
        assert!(reap(&place.db, &place.paths).unwrap().is_empty());
        assert!(containers::get(&place.db, "young").unwrap().is_some());
        drop(creating);
        reap(&place.db, &place.paths).unwrap();
        assert!(containers::get(&place.db, "young").unwrap().is_none());
    }

    #[test]
    fn without_rm_the_last_word_is_kept() {
        let place = place();
        drop(place.container("told", false, true, true));
        let exit = Some(Exit { code: 42, oom_killed: true, error: None });
        let word = Status { exit, started_ns: Some(7), finished_ns: Some(9), ..Status::default() };
        status::write(&place.paths.container("told"), &word).unwrap();
        drop(place.container("killed", false, true, true));
        assert!(reap(&place.db, &place.paths).unwrap().is_empty());
        let told = containers::get(&place.db, "told").unwrap().unwrap();
        assert_eq!((told.state, told.exit_code, told.oom_killed), (State::Exited, Some(42), true));
        assert_eq!((told.started_ns, told.finished_ns), (Some(7), Some(9)));
        let killed = containers::get(&place.db, "killed").unwrap().unwrap();
        assert_eq!(killed.exit_code, Some(137));
        assert!(killed.error.unwrap().contains("supervisor"));
        assert!(place.paths.container("told").join("upper").exists(), "its files stay");
        assert!(!place.paths.run("told").exists());
    }

    #[test]
    fn an_interrupted_removal_is_finished() {
        let place = place();
        drop(place.container("half", false, true, true));
        containers::removing(&place.db, "half").unwrap();
        std::fs::remove_dir_all(place.paths.container("half")).unwrap();
        assert!(reap(&place.db, &place.paths).unwrap().is_empty());
        assert!(containers::get(&place.db, "half").unwrap().is_none());
    }

    #[test]
    fn a_broken_one_does_not_stop_the_others() {
        let place = place();
        drop(place.container("broken", false, true, true));
        std::fs::write(place.paths.container("broken").join(status::FILE), "nonsense").unwrap();
        drop(place.container("fine", true, true, true));
        assert_eq!(reap(&place.db, &place.paths).unwrap().len(), 1);
        assert!(containers::get(&place.db, "fine").unwrap().is_none());
    }

    #[test]
    fn what_is_left_in_the_cgroup_dies() {
        let place = place();
        let hierarchy = cgroup::Hierarchy::find().expect("these tests need a cgroup v2 tree");
        let cgroup = hierarchy.path.join(format!("sandbox-reap-{}", std::process::id()));
        std::fs::create_dir(&cgroup).unwrap();
        let mut sleeper = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        std::fs::write(cgroup.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
        let id = "c";
        let container = Container {
            auto_remove: true,
            run_dir: place.paths.run(id).to_str().unwrap().to_owned(),
            cgroup: Some(cgroup.to_str().unwrap().to_owned()),
            ..sample(id, "cgrouped")
        };
        containers::insert(&place.db, &container).unwrap();
        assert!(reap(&place.db, &place.paths).unwrap().is_empty());
        assert!(!cgroup.exists());
        assert!(!sleeper.wait().unwrap().success());
    }
}

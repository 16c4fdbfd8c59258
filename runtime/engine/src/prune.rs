//! Removal of what nothing uses: stopped containers, anonymous volumes. Images have their own.

use sandbox_image::{LabelFilter, PruneOptions};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::live::View;
use crate::recipe::Recipe;
use crate::state::{self, volumes};
use crate::{remove, usage};

/// What was removed.
#[derive(Debug, Default)]
pub struct PrunedObjects {
    /// Ids of containers, names of volumes.
    pub removed: Vec<String>,
    /// Bytes of their files.
    pub reclaimed: u64,
    /// What could not be removed, and why; it kept nothing else.
    pub failures: Vec<Error>,
}

impl Engine {
    /// Removes all containers that do not run, were made before `until` and have the labels.
    pub fn prune_containers(&self, options: &PruneOptions) -> Result<PrunedObjects> {
        let mut pruned = PrunedObjects::default();
        for view in self.views()? {
            if !matches!(view.state(), "created" | "exited") || !self.is_meant(&view, options)? {
                continue;
            }
            let container = &view.container;
            let size = usage::tree_size(&self.paths.container(&container.id).join("upper")).unwrap_or(0);
            match self.remove(container, &container.name, false, false) {
                Ok(()) => {
                    pruned.removed.push(container.id.clone());
                    pruned.reclaimed = pruned.reclaimed.saturating_add(size);
                }
                Err(failure) => pruned.failures.push(failure),
            }
        }
        Ok(pruned)
    }

    fn is_meant(&self, view: &View, options: &PruneOptions) -> Result<bool> {
        let container = &view.container;
        // One that is being started shows as made.
        let starting = view.container.state == state::containers::State::Running && view.state() == "created";
        if starting || options.until.is_some_and(|until| container.created_ns / 1_000_000_000 >= until) {
            return Ok(false);
        }
        if options.labels.is_empty() {
            return Ok(true);
        }
        let recipe = Recipe::read(&self.paths.container(&container.id))?.unwrap_or_default();
        let has = |label: &LabelFilter| {
            let found = recipe.labels.get(&label.key);
            found.is_some_and(|found| label.value.as_ref().is_none_or(|value| value == found))
        };
        Ok(options.labels.iter().all(|label| has(label) != label.negated))
    }

    /// Removes the anonymous volumes that no container uses.
    pub fn prune_volumes(&mut self, options: &PruneOptions) -> Result<PrunedObjects> {
        let mut pruned = PrunedObjects::default();
        // They have no labels.
        if options.labels.iter().any(|label| !label.negated) {
            return Ok(pruned);
        }
        for name in volumes::unused_anonymous(&self.connection)? {
            let path = self.paths.volume(&name);
            let size = usage::tree_size(&path).unwrap_or(0);
            // Nobody can begin to use it meanwhile, for that is a row, too; killed here, it is unused still.
            let removed = state::write(&mut self.connection, |connection| {
                let unused = volumes::unused_anonymous(connection)?.contains(&name);
                if unused {
                    remove::tree(&path)?;
                    volumes::delete(connection, &name)?;
                }
                Ok(unused)
            });
            match removed {
                Ok(true) => {
                    pruned.reclaimed = pruned.reclaimed.saturating_add(size);
                    pruned.removed.push(name);
                }
                Ok(false) => {}
                Err(failure) => pruned.failures.push(failure),
            }
        }
        Ok(pruned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::prune_options;
    use crate::listing::tests::{add, engine};
    use crate::lock;

    fn add_ended(engine: &Engine, name: &str, second: i64, label: Option<&str>) -> String {
        let labels = label.into_iter().map(|key| (key.to_owned(), String::new())).collect();
        let container = add(engine, name, second, &Recipe { labels, ..Recipe::default() });
        let dir = engine.paths.container(&container.id);
        std::fs::create_dir(dir.join("upper")).unwrap();
        std::fs::write(dir.join("upper/file"), [0; 100]).unwrap();
        drop(lock::create(&dir).unwrap());
        container.id
    }

    #[test]
    fn only_what_is_meant() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        let old = add_ended(&engine, "old", 1, None);
        let kept = add_ended(&engine, "kept", 2, Some("keep"));
        let new = add_ended(&engine, "new", 3, None);
        let options = prune_options(false, [("until", "3"), ("label!", "keep")]).unwrap();
        let pruned = engine.prune_containers(&options).unwrap();
        assert_eq!((pruned.removed, pruned.reclaimed, pruned.failures.len()), (vec![old], 100, 0));
        let pruned = engine.prune_containers(&PruneOptions::default()).unwrap();
        assert_eq!((pruned.removed, pruned.reclaimed), (vec![new, kept], 200));
        assert!(engine.containers().unwrap().is_empty());
    }

    #[test]
    fn named_and_used_volumes_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = engine(dir.path());
        let user = add_ended(&engine, "one", 1, None);
        for (name, anonymous) in [("unused", true), ("used", true), ("named", false)] {
            volumes::ensure(&engine.connection, name, anonymous, 1).unwrap();
            std::fs::create_dir_all(engine.paths.volume(name).join("_data")).unwrap();
            std::fs::write(engine.paths.volume(name).join("_data/file"), [0; 10]).unwrap();
        }
        volumes::attach(&engine.connection, "used", &user).unwrap();
        let labelled = prune_options(false, [("label", "x")]).unwrap();
        assert!(engine.prune_volumes(&labelled).unwrap().removed.is_empty());
        let pruned = engine.prune_volumes(&PruneOptions::default()).unwrap();
        assert_eq!((pruned.removed, pruned.reclaimed), (vec!["unused".to_owned()], 10));
        assert!(!engine.paths.volume("unused").exists() && engine.paths.volume("used").exists());
        assert_eq!(volumes::usage(&engine.connection).unwrap().len(), 2);
    }
}

//! The list of containers: which of them, newest first, and what is known of each.
//!
//! It must stay quick with many containers: a row and a status are read for each, what a container was made from only for
//! who asks, and of images nothing but their names.

mod filter;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::PathBuf;

use sandbox_image::Reference;

use crate::engine::Engine;
use crate::error::Result;
use crate::live::View;
use crate::recipe::Recipe;
use crate::usage;

pub use filter::ContainerFilter;

/// Which containers.
#[derive(Debug, Default)]
pub struct Query {
    /// Also those that do not run.
    pub all: bool,
    /// The newest so many, in any state.
    pub last: Option<usize>,
    pub filter: ContainerFilter,
}

/// A container of the list.
#[derive(Debug)]
pub struct Listed {
    pub view: View,
    dir: PathBuf,
    recipe: OnceCell<Option<Box<Recipe>>>,
}

/// Bytes of a container's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// What it has written.
    pub written: u64,
    /// With its image's.
    pub whole: u64,
}

impl Listed {
    fn new(view: View, dir: PathBuf) -> Listed {
        Listed { view, dir, recipe: OnceCell::new() }
    }

    /// One whose recipe is known.
    pub fn of(view: View, recipe: Recipe) -> Listed {
        Listed { view, dir: PathBuf::new(), recipe: OnceCell::from(Some(Box::new(recipe))) }
    }

    /// What it was made from; `None` if it lost that, which keeps no other container from being listed.
    pub fn recipe(&self) -> Option<&Recipe> {
        self.recipe.get_or_init(|| Recipe::read(&self.dir).ok().flatten().map(Box::new)).as_deref()
    }
}

/// Which image has which name now.
#[derive(Debug, Default)]
pub struct ImageNames(HashMap<String, String>);

impl ImageNames {
    /// An image as a list shows it: as it was named, unless that name means another image by now.
    pub fn shown(&self, name: &str, id: &str, whole: bool) -> String {
        let hex = id.strip_prefix("sha256:").unwrap_or(id);
        let short = || if whole { id.to_owned() } else { crate::id::short(hex).to_owned() };
        let asked = name.strip_prefix("sha256:").unwrap_or(name);
        if !asked.is_empty() && hex.starts_with(asked) {
            return if asked.len() == hex.len() { short() } else { name.to_owned() };
        }
        let Ok(reference) = name.parse::<Reference>() else { return short() };
        if reference.digest().is_some() {
            return match reference.tag() {
                _ if whole => name.to_owned(),
                Some(tag) => format!("{}:{tag}", reference.familiar_name()),
                None => reference.familiar_name(),
            };
        }
        if self.0.get(&reference.to_string()).is_some_and(|now| now == id) {
            name.to_owned()
        } else {
            short()
        }
    }
}

impl Engine {
    /// The containers that `query` asks for.
    pub fn list(&self, query: &Query) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let all = query.all || query.last.is_some() || query.filter.asks_for_states();
        for view in self.views()? {
            if query.last.is_some_and(|last| found.len() == last) {
                break;
            }
            if !all && !view.is_running() {
                continue;
            }
            let dir = self.paths.container(&view.container.id);
            let listed = Listed::new(view, dir);
            if query.filter.matches(&listed) {
                found.push(listed);
            }
        }
        Ok(found)
    }

    /// The names of all images.
    pub fn image_names(&self) -> Result<ImageNames> {
        let images = self.store()?.list(&self.connection)?;
        let named =
            images.into_iter().filter_map(|image| Some((image.reference?.to_string(), image.id.to_string())));
        Ok(ImageNames(named.collect()))
    }

    /// How much of the disk a container takes.
    pub fn sizes(&self, listed: &Listed) -> Result<Sizes> {
        let container = &listed.view.container;
        let written = usage::tree_size(&self.paths.container(&container.id).join("upper"))?;
        // An image that was removed by force has no size any more.
        let image = self.image(&container.image_id).map_or(0, |image| image.size);
        Ok(Sizes { written, whole: written.saturating_add(image) })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::installation::Installation;
    use crate::paths::Paths;
    use crate::state::containers::tests::sample;
    use crate::state::containers::{self, Container, State};

    pub(crate) fn engine(dir: &std::path::Path) -> Engine {
        let paths = Paths::new(&dir.join("root"), &dir.join("run")).unwrap();
        Engine::open(paths, Installation::at(vec![])).unwrap()
    }

    /// A container that has ended, made at that second, from that recipe.
    pub(crate) fn add(engine: &Engine, name: &str, second: i64, recipe: &Recipe) -> Container {
        let id = format!("{:0<64}", format!("{second:x}"));
        let container =
            Container { state: State::Exited, created_ns: second * 1_000_000_000, ..sample(&id, name) };
        containers::insert(&engine.connection, &container).unwrap();
        let dir = engine.paths.container(&id);
        std::fs::create_dir(&dir).unwrap();
        recipe.write(&dir).unwrap();
        container
    }

    pub(crate) fn names(
        engine: &Engine,
        all: bool,
        last: Option<usize>,
        filters: &[(&str, &str)],
    ) -> Vec<String> {
        let filter = engine.container_filter(filters.iter().copied()).unwrap();
        let listed = engine.list(&Query { all, last, filter }).unwrap();
        listed.into_iter().map(|listed| listed.view.container.name).collect()
    }

    #[test]
    fn newest_first_and_only_running_ones_unless_asked() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        for (second, name) in [(1, "one"), (3, "three"), (2, "two")] {
            add(&engine, name, second, &Recipe::default());
        }
        assert!(names(&engine, false, None, &[]).is_empty());
        assert_eq!(names(&engine, true, None, &[]), ["three", "two", "one"]);
        assert_eq!(names(&engine, false, Some(2), &[]), ["three", "two"]);
        assert_eq!(names(&engine, false, None, &[("status", "exited")]).len(), 3);
    }

    #[test]
    fn an_image_whose_name_went_on() {
        let id = format!("sha256:{}", "a".repeat(64));
        let name: Reference = "alpine".parse().unwrap();
        let now = |id: &str| ImageNames([(name.to_string(), id.to_owned())].into());
        assert_eq!(now(&id).shown("alpine", &id, false), "alpine");
        assert_eq!(now("sha256:b").shown("alpine", &id, false), "aaaaaaaaaaaa");
        assert_eq!(ImageNames::default().shown("alpine:latest", &id, false), "aaaaaaaaaaaa");
        assert_eq!(ImageNames::default().shown("aaaa", &id, false), "aaaa");
        assert_eq!(ImageNames::default().shown(&id, &id, false), "aaaaaaaaaaaa");
        assert_eq!(now("sha256:b").shown("alpine", &id, true), id);
        let digest = format!("alpine:3@sha256:{}", "c".repeat(64));
        assert_eq!(ImageNames::default().shown(&digest, &id, false), "alpine:3");
    }

    #[test]
    fn a_container_that_lost_its_recipe_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        let container = add(&engine, "one", 1, &Recipe::default());
        std::fs::write(engine.paths.container(&container.id).join("config.json"), "{").unwrap();
        let listed = engine.list(&Query { all: true, ..Query::default() }).unwrap();
        assert!(listed[0].recipe().is_none());
    }
}

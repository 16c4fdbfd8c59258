//! `sandbox container prune`.

use sandbox_engine::{Error, PrunedObjects};
use sandbox_image::PruneOptions;

use crate::commands::image::prune::confirmed;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::containers::ContainerPruneFlags;
use crate::flags::value::Filter;
use crate::format::{self, size};

const WARNING: &str = "WARNING! This will remove all stopped containers.";

pub(in crate::commands) fn run(global: &Global, flags: &ContainerPruneFlags) -> Result<u8, Failure> {
    let options = options(&flags.filter)?;
    if !flags.force && !confirmed(WARNING)? {
        return Ok(0);
    }
    let pruned = crate::commands::engine(global)?.prune_containers(&options)?;
    let total = format!("Total reclaimed space: {}\n", size::decimal(pruned.reclaimed, 4));
    format::print(&(deleted("Containers", &pruned) + &total))?;
    Ok(0)
}

/// `until`, `label`, `label!`
pub(in crate::commands) fn options(filters: &[Filter]) -> Result<PruneOptions, Error> {
    if filters.iter().any(|filter| filter.key == "dangling") {
        return Err(Error::invalid("invalid filter 'dangling'"));
    }
    sandbox_engine::prune_options(false, crate::commands::pairs(filters))
}

/// What was removed, with an empty line behind it; what was not is a warning.
pub(in crate::commands) fn deleted(what: &str, pruned: &PrunedObjects) -> String {
    for failure in &pruned.failures {
        eprintln!("WARNING: {failure}");
    }
    if pruned.removed.is_empty() {
        return String::new();
    }
    format!("Deleted {what}:\n{}\n\n", pruned.removed.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told() {
        let mut pruned = PrunedObjects::default();
        assert_eq!(deleted("Containers", &pruned), "");
        pruned.removed = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(deleted("Containers", &pruned), "Deleted Containers:\na\nb\n\n");
        let filter = |text: &str| [text.parse::<Filter>().unwrap()];
        assert!(options(&filter("until=1h")).is_ok());
        assert_eq!(options(&filter("dangling=true")).unwrap_err().to_string(), "invalid filter 'dangling'");
        assert_eq!(options(&filter("x=y")).unwrap_err().to_string(), "invalid filter 'x'");
    }
}

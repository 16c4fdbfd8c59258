//! `sandbox system prune`: containers first, for they keep the rest.

use crate::commands::container::prune::{deleted, options};
use crate::commands::image::prune as images;
use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::system::SystemPruneFlags;
use crate::format::{self, size};

pub(in crate::commands) fn run(global: &Global, flags: &SystemPruneFlags) -> Result<u8, Failure> {
    if flags.volumes && flags.filter.iter().any(|filter| filter.key == "until") {
        return Err(Failure::plain("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    let mut options = options(&flags.filter)?;
    options.all = flags.all;
    if !flags.force && !images::confirmed(&warning(flags))? {
        // A prune that was called off is no failure.
        return Ok(0);
    }
    let mut engine = crate::commands::engine(global)?;
    let containers = engine.prune_containers(&options)?;
    format::print(&deleted("Containers", &containers))?;
    let mut reclaimed = containers.reclaimed;
    if flags.volumes {
        let volumes = engine.prune_volumes(&options)?;
        format::print(&deleted("Volumes", &volumes))?;
        reclaimed = reclaimed.saturating_add(volumes.reclaimed);
    }
    let pruned = engine.prune_images(&options)?;
    reclaimed = reclaimed.saturating_add(pruned.reclaimed);
    let total = format!("Total reclaimed space: {}\n", size::decimal(reclaimed, 4));
    format::print(&(images::deleted(&pruned) + &total))?;
    Ok(0)
}

fn warning(flags: &SystemPruneFlags) -> String {
    let mut lines = vec!["WARNING! This will remove:".to_owned(), "  - all stopped containers".to_owned()];
    if flags.volumes {
        lines.push("  - all anonymous volumes not used by at least one container".to_owned());
    }
    let images = if flags.all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    };
    lines.push(format!("  - {images}"));
    lines.push(String::new());
    if !flags.filter.is_empty() {
        lines.push("  Items to be pruned will be filtered with:".to_owned());
        let mut filters: Vec<String> =
            flags.filter.iter().map(|filter| format!("  - {}={}", filter.key, filter.value)).collect();
        filters.sort();
        lines.extend(filters);
        lines.push(String::new());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings() {
        let flags = SystemPruneFlags { all: false, filter: Vec::new(), force: false, volumes: false };
        assert_eq!(
            warning(&flags),
            "WARNING! This will remove:\n  - all stopped containers\n  - all dangling images\n"
        );
        let filter = vec!["until=24h".parse().unwrap(), "label=a=b".parse().unwrap()];
        let flags = SystemPruneFlags { all: true, filter, volumes: true, ..flags };
        assert_eq!(
            warning(&flags),
            "WARNING! This will remove:\n  - all stopped containers\n  - all anonymous volumes not used by at least \
             one container\n  - all images without at least one container associated to them\n\n  \
             Items to be pruned will be filtered with:\n  - label=a=b\n  - until=24h\n"
        );
    }
}

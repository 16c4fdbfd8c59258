//! `sandbox image prune`.

use std::io::{BufRead, Write};

use sandbox_image::{Pruned, Removed};

use crate::failure::Failure;
use crate::flags::Global;
use crate::flags::image::PruneFlags;
use crate::format::{self, size};

const ALL: &str = "WARNING! This will remove all images without at least one container associated to them.";
const DANGLING: &str = "WARNING! This will remove all dangling images.";

pub(in crate::commands) fn run(global: &Global, flags: &PruneFlags) -> Result<u8, Failure> {
    let options = sandbox_engine::prune_options(flags.all, crate::commands::pairs(&flags.filter))?;
    if !flags.force && !confirmed(if flags.all { ALL } else { DANGLING })? {
        // A prune that was called off is no failure.
        return Ok(0);
    }
    let pruned = crate::commands::engine(global)?.prune_images(&options)?;
    format::print(&report(&pruned))?;
    Ok(0)
}

/// Asks whether to go on.
pub(in crate::commands) fn confirmed(warning: &str) -> Result<bool, Failure> {
    let failed = |error| Failure::plain(format!("ask for confirmation: {error}"));
    format::print(&format!("{warning}\nAre you sure you want to continue? [y/N] "))?;
    std::io::stdout().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

fn report(pruned: &Pruned) -> String {
    let mut text = deleted(pruned);
    text.extend(["Total reclaimed space: ", &size::decimal(pruned.reclaimed, 4), "\n"]);
    text
}

/// What was removed, and an empty line behind it.
pub(in crate::commands) fn deleted(pruned: &Pruned) -> String {
    let mut text = String::new();
    if !pruned.removed.is_empty() {
        text.push_str("Deleted Images:\n");
        for removed in &pruned.removed {
            let line = match removed {
                Removed::Untagged(name) => format!("untagged: {name}\n"),
                Removed::Deleted(digest) => format!("deleted: {digest}\n"),
            };
            text.push_str(&line);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        assert_eq!(report(&Pruned::default()), "Total reclaimed space: 0B\n");
        let digest: sandbox_image::Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let removed = vec![Removed::Untagged("alpine:latest".to_owned()), Removed::Deleted(digest.clone())];
        assert_eq!(
            report(&Pruned { removed, reclaimed: 1840 }),
            format!(
                "Deleted Images:\nuntagged: alpine:latest\ndeleted: {digest}\n\nTotal reclaimed space: 1.84kB\n"
            )
        );
    }
}

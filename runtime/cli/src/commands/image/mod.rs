//! The commands about images.

pub(super) mod history;
pub(super) mod import;
pub(super) mod inspect;
pub(super) mod list;
pub(super) mod load;
pub(super) mod prune;
pub(super) mod pull;
pub(super) mod push;
pub(super) mod remove;
pub(super) mod save;
pub(super) mod tag;

use sandbox_image::Reference;

use crate::failure::Failure;

/// What `pull` and `push` are asked for.
#[derive(Debug)]
struct Asked {
    reference: Reference,
    /// Neither a tag nor a digest was written.
    name_only: bool,
}

impl Asked {
    fn parse(name: &str, all_tags: bool) -> Result<Asked, Failure> {
        let reference: Reference = name.parse().map_err(Failure::plain)?;
        let last = name.rsplit('/').next().unwrap_or(name);
        let name_only = !last.contains([':', '@']);
        if all_tags && !name_only {
            return Err(Failure::plain("tag can't be used with --all-tags/-a"));
        }
        Ok(Asked { reference, name_only })
    }

    /// Docker tells which tag it takes when none was written.
    fn announce(&self, quiet: bool) -> Result<(), Failure> {
        match self.reference.tag() {
            Some(tag) if self.name_only && !quiet => {
                crate::format::print_line(&format!("Using default tag: {tag}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written() {
        assert!(Asked::parse("alpine", true).unwrap().name_only);
        assert!(Asked::parse("localhost:5000/team/app", false).unwrap().name_only);
        assert!(!Asked::parse("localhost:5000/team/app:v1", false).unwrap().name_only);
        assert!(!Asked::parse(&format!("alpine@sha256:{}", "a".repeat(64)), false).unwrap().name_only);
        assert_eq!(
            Asked::parse("alpine:3", true).unwrap_err().text(),
            "sandbox: tag can't be used with --all-tags/-a"
        );
        assert!(Asked::parse("Alpine", false).is_err());
    }
}

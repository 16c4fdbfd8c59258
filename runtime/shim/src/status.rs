//! `status.json`: how the container ended, for the engine to fold into its state.

use std::io;
use std::path::Path;

use crate::wire::Exit;

/// Name of the file in the container's directory.
pub(crate) const FILE: &str = "status.json";

/// Replaces it in one step, so that a reader sees a whole one or none.
///
/// # Errors
/// Of writing and renaming.
pub(crate) fn write(container_dir: &Path, exit: &Exit) -> io::Result<()> {
    let new = container_dir.join("status.json.new");
    std::fs::write(&new, serde_json::to_vec(exit)?)?;
    std::fs::rename(new, container_dir.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        for code in [1, 42] {
            write(directory.path(), &Exit { code, oom_killed: false, error: None }).unwrap();
        }
        let text = std::fs::read(directory.path().join(FILE)).unwrap();
        assert_eq!(serde_json::from_slice::<Exit>(&text).unwrap().code, 42);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
